package heapprof_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
)

// pprof runs go tool pprof, and returns its output.
func pprof(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"tool", "pprof"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// needPprof skips a test where go tool pprof does not run.
func needPprof(t *testing.T) {
	t.Helper()
	if err := exec.Command("go", "tool", "-n", "pprof").Run(); err != nil {
		t.Skip("there is no go tool pprof here: ", err)
	}
}

// write writes a profile to a file, and returns its name.
func write(t *testing.T, p *heapprof.Profile) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "heap.pb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := p.WriteTo(f)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != n {
		t.Errorf("WriteTo returned %d: %v, %v", n, info, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// grow allocates through an inlined function and a generic one.
//
//go:noinline
func grow(p *heapprof.Profiler, n int) []int64 { return inlined(p, n) }

func inlined(p *heapprof.Profiler, n int) []int64 { return galloc.Must(galloc.MakeSlice[int64](p, n)) }

// The standard tool reads a profile, with its names, lines, mappings and times.
func TestPprofReadsProfiles(t *testing.T) {
	needPprof(t)
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	first := grow(p, 1000)
	defer func() { galloc.FreeSlice(p, first) }()
	before := write(t, p.Profile())

	raw := pprof(t, "-raw", before)
	for _, want := range []string{
		"PeriodType: space bytes\nPeriod: 1\n",
		"alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]",
		"Time: ", "Duration: ",
		"heapprof_test.inlined", "heapprof_test.grow", "pprof_test.go:",
	} {
		if !strings.Contains(raw, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(raw, "MakeSlice") || strings.Contains(raw, "heapprof.(*Profiler)") {
		t.Error("calls within galloc are in the profile")
	}
	_, mappings, _ := strings.Cut(raw, "\nMappings\n")
	if runtime.GOOS == "linux" && !strings.Contains(mappings, filepath.Base(os.Args[0])) {
		t.Errorf("the program is not in the mappings: %s", mappings)
	}
	if t.Failed() {
		t.Log(raw)
	}

	if top := pprof(t, "-top", before); !strings.Contains(top, "100%") || !strings.Contains(top, "heapprof_test.inlined") {
		t.Errorf("-top:\n%s", top)
	}
	if list := pprof(t, "-list=heapprof_test.grow", before); !strings.Contains(list, "return inlined(p, n)") {
		t.Errorf("-list:\n%s", list)
	}
	second := grow(p, 3000)
	defer func() { galloc.FreeSlice(p, second) }()
	after := write(t, p.Profile())
	diff := pprof(t, "-sample_index=inuse_objects", "-diff_base="+before, "-top", after)
	if !strings.Contains(diff, "Showing nodes accounting for 1, ") {
		t.Errorf("-diff_base:\n%s", diff)
	}
}
