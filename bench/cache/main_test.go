package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A measurement starts the running executable once more, which is the test binary: TestMain then
// does what the command does. badChild in the environment makes it misbehave.
const badChild = "CACHE_TEST_BAD_CHILD"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childFlag {
		switch os.Getenv(badChild) {
		case "":
			main()
		case "silent":
		case "garbage":
			os.Stdout.WriteString(
				// More than a pipe holds.
				`{"doing":"something"}` + "\n" + strings.Repeat("no JSON\n", 100_000))
		case "crash":
			panic("a crash on purpose")
		}
		os.Exit(0)
	}
	// Under the race detector, each child would sleep for a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// needProcesses skips a test that measures where that is impossible.
func needProcesses(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
}

func command(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(context.Background(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestTheProgram(t *testing.T) {
	needProcesses(t)
	file := filepath.Join(t.TempDir(), "out.html")
	status, stdout, stderr := command("-entries", "20000", "-seconds", "0.2", "-rate", "20_000", "-rounds", "2", "-o",
		file)
	if status != exitOK || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"20,000 entries", "map[string]string", "collections.TextMap", "GOGC=25", "p99.9", "TextMap is on the global allocator: ", "galloc heap", "TextMap is worse than the map in", "drawn: " + file} {
		if !strings.Contains(stdout, want) {
			t.Errorf("there is no %q in\n%s", want, stdout)
		}
	}
	if runtime.GOOS == "linux" == strings.Contains(stdout, "not available") {
		t.Errorf("resident memory on %s:\n%s", runtime.GOOS, stdout)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	checkHTML(t, string(text), len(kinds))
	if drawn := strings.Contains(string(text), "Resident memory while"); drawn != (runtime.GOOS == "linux") {
		t.Errorf("resident memory is drawn: %v", drawn)
	}
}

func TestOneKindAsSVG(t *testing.T) {
	needProcesses(t)
	file := filepath.Join(t.TempDir(), "out.svg")
	status, stdout, stderr := command("-entries", "2000", "-seconds", "0.05", "-rate", "10000", "-garbage", "0",
		"-only", "textmap", "-o", file)
	if status != exitOK || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if strings.Contains(stdout, "map[string]string") || strings.Contains(stdout, "TextMap is worse than") {
		t.Errorf("there is more than TextMap in\n%s", stdout)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	checkSVG(t, string(text), 1)
}

func TestResultsComeBackFromTheChild(t *testing.T) {
	needProcesses(t)
	for _, k := range kinds {
		const n = 20_000
		doing := 0
		r, err := measureInChild(t.Context(), k, spec{Entries: n, Seconds: .2, Rate: 10_000, Garbage: 64, Seed: 3},
			func(string) { doing++ })
		if err != nil {
			t.Fatal(err)
		}
		if r.Entries > n+maxShards || r.Entries < n*9/10 || r.Fill.N != n || doing == 0 {
			t.Errorf("%s: %d entries of %d, told %d times", k.name, r.Entries, r.Fill.N, doing)
		}
		if r.Lookups.N == 0 || r.Inserts.N == 0 || r.Hits == 0 || r.KeptUp <= 0 || r.KeptUp > 1 ||
			!slices.IsSorted(r.Responses.Curve) {
			t.Errorf("%s: %+v", k.name, r)
		}
		if !strings.Contains(r.Global, "galloc heap") {
			t.Errorf("%s: on %s", k.name, r.Global)
		}
		if runtime.GOOS == "linux" && (len(r.RSS) < 2 || r.FullRSS <= 0 || r.PeakRSS < r.FullRSS || r.EndRSS <= 0) {
			t.Errorf("%s: resident %d when full, %d at most, %d at the end, %v",
				k.name, r.FullRSS, r.PeakRSS, r.EndRSS, r.RSS)
		}
	}
}

// With GALLOC=debug, freed blocks stay in a quarantine.
func TestAMeasurementWithTheChecker(t *testing.T) {
	needProcesses(t)
	for _, setting := range []string{"debug", "debug,guard=end", "debug,sample=3"} {
		t.Setenv("GALLOC", setting)
		for _, k := range kinds {
			r, err := measureInChild(t.Context(), k, spec{Entries: 2000, Seconds: .05, Rate: 10_000, Garbage: 64, Seed: 3},
				func(string) {})
			if err != nil || !strings.HasPrefix(r.Global, "memcheck(galloc heap)") {
				t.Errorf("%s, GALLOC=%s: on %s: %v", k.name, setting, r.Global, err)
			}
		}
	}
}

func TestOutOfMemoryIsReported(t *testing.T) {
	needProcesses(t)
	for entries, want := range map[string]string{
		"20000000": "out of memory for an empty cache", "20000": "out of memory at entry",
	} {
		t.Setenv("GALLOC", "heap,limit=2MiB")
		status, _, stderr := command("-entries", entries, "-seconds", "0.2", "-only", "textmap", "-o", "")
		if status != exitFailure || !strings.Contains(stderr, want) || !strings.Contains(stderr, "out of memory") ||
			strings.Contains(stderr, "goroutine") {
			t.Errorf("with %s entries, status %d: %s", entries, status, stderr)
		}
	}
}

func TestChildrenThatMisbehave(t *testing.T) {
	needProcesses(t)
	for how, want := range map[string]string{
		"silent":  "ended without a result",
		"garbage": "cannot be parsed",
		"crash":   "a crash on purpose",
	} {
		t.Setenv(badChild, how)
		status, stdout, stderr := command("-entries", "2000", "-o", "")
		if status != exitFailure || stdout != "" || !strings.Contains(stderr, want) ||
			strings.Count(stderr, "\n") > 30 {
			t.Errorf("%s: status %d: %s%s", how, status, stdout, stderr)
		}
	}
}

func TestInterruption(t *testing.T) {
	needProcesses(t)
	ctx, cancel := context.WithCancel(context.Background())
	_, err := measureInChild(ctx, kinds[2], spec{Entries: 2000, Seconds: 60, Rate: 1000}, func(string) { cancel() })
	if err == nil {
		t.Error("no error")
	}
	var out, errs bytes.Buffer
	if status := run(ctx, []string{"-entries", "2000", "-o", ""}, &out, &errs); status != exitInterrupted ||
		errs.String() != "cache: interrupted\n" {
		t.Errorf("status %d: %s", status, errs.String())
	}
}

// The child ends when its standard input does, as it does when the parent is killed.
func TestTheChildDoesNotOutliveItsParent(t *testing.T) {
	needProcesses(t)
	told, _ := json.Marshal(spec{Kind: "textmap", Entries: 2000, Seconds: 60, Rate: 1000})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, childFlag, string(told))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("it ended with %v", err)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"-entries 5", "-entries 5:"},
		{"-entries many", "-entries many:"},
		{"-entries 99999999999999999999", "-entries"},
		{"-seconds 0", "-seconds 0:"},
		{"-seconds NaN", "-seconds NaN:"},
		{"-seconds 1e9", "-seconds 1e+09:"},
		{"-rate 0", "-rate 0:"},
		{"-garbage -1", "-garbage -1:"},
		{"-rounds 0", "-rounds 0:"},
		{"-only map,tree", `-only: unknown kind "tree": the kinds are map,map-gogc25,textmap`},
		{"-only=", `-only: unknown kind ""`},
		{"-o out.png", "must end in .html or .svg"},
		{"-o no/such/directory/out.svg", "its directory does not exist"},
		{"-nonsense", "-nonsense"},
		{"more", `"more" is not a flag`},
	} {
		status, stdout, stderr := command(strings.Fields(c.args)...)
		if status != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q %q", c.args, status, stdout, stderr)
		}
	}
	if status, stdout, stderr := command("-h"); status != exitOK || stderr != "" ||
		!strings.Contains(stdout, "-entries number") {
		t.Errorf("-h: status %d, %q %q", status, stdout, stderr)
	}
	for _, told := range []string{"", "{}", `{"kind":"map"}`, `{"kind":"map,textmap","entries":5,"rate":1}`} {
		var out, errs bytes.Buffer
		stdin, _ := io.Pipe() // never ends
		if status := child(told, stdin, &out, &errs); status != exitUsage || out.Len() != 0 || errs.Len() == 0 {
			t.Errorf("told %q: status %d, %q %q", told, status, out.String(), errs.String())
		}
	}
}

func TestTooLittleMemoryIsSaidBeforehand(t *testing.T) {
	o := options{spec: spec{Entries: 1_000_000}, kinds: kinds}
	if err := checkMemory(o, -1); err != nil {
		t.Error(err)
	}
	need := kinds[0].perItem * 1_000_000
	if err := checkMemory(o, need); err != nil {
		t.Error(err)
	}
	err := checkMemory(o, need/2)
	if err == nil || !strings.Contains(err.Error(), "try -entries 500000") ||
		!strings.Contains(err.Error(), "1,000,000 entries") {
		t.Error(err)
	}
	o.kinds = kinds[2:]
	if err := checkMemory(o, need/2+need/10); err != nil {
		t.Errorf("TextMap alone: %v", err)
	}
	if runtime.GOOS == "linux" && availableMemory() <= 0 {
		t.Error("available:", availableMemory())
	}
}

func checkSVG(t *testing.T, text string, lines int) {
	t.Helper()
	plots := 1
	if strings.Contains(text, "Resident memory") {
		plots = 2
	}
	elements := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
	if elements["svg"] != 1 || elements["polyline"] != plots*lines {
		t.Errorf("%v in the plot of %d lines", elements, lines)
	}
}

func checkHTML(t *testing.T, text string, lines int) {
	t.Helper()
	from, to := strings.Index(text, "<svg"), strings.Index(text, "</svg>")
	if from < 0 || to < from {
		t.Fatalf("no plot in\n%s", text)
	}
	checkSVG(t, text[from:to+len("</svg>")], lines)
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	rows, depth := 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			depth++
			if e.Name.Local == "tr" {
				rows++
			}
			for _, a := range e.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" {
					t.Errorf("<%s> refers to %s", e.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 || rows != len(measures)+1 {
		t.Errorf("%d rows, and %d elements open at the end", rows, depth)
	}
}
