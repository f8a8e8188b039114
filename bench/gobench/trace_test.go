package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A process has one global allocator, so a run is a process: the test binary, which then does what
// the command does.
const asCommand = "GOBENCH_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// spawn runs the command in a new process.
func spawn(t *testing.T, args ...string) map[string]any {
	t.Helper()
	child := exec.Command(os.Args[0], args...)
	child.Env = append(os.Environ(), asCommand+"=1")
	out, err := child.CombinedOutput()
	var answer map[string]any
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %v in %q", args, err, out)
	}
	if (err != nil) != (answer["error"] != "") {
		t.Fatalf("%v: %v, but %q", args, err, out)
	}
	return answer
}

// Two threads, of which each frees a block of the other; 6 events and 4 objects of 1,024 bytes in
// all; object 4 survives.
const smallTrace = "# malloctrace 1\nm 0 1 100\nc 1 2 300\nf 1 1\nr 0 2 3 124\nf 1 3\na 1 4 500 64\n"

// programs makes the programs of smallTrace, for one thread and for its two.
func programs(t *testing.T) (one, two string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "small.trace")
	if err := os.WriteFile(file, []byte(smallTrace), 0o644); err != nil {
		t.Fatal(err)
	}
	one, two = filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for _, c := range []struct {
		out, threads string
		want         float64
	}{{one, "0", 1}, {two, "1", 2}} {
		answer, status := ask(t, "dump", "file="+file, "out="+c.out, "threads="+c.threads)
		info, err := os.Stat(c.out)
		if status != 0 || err != nil || answer["threads"] != c.want || answer["events"] != 6.0 ||
			answer["size"] != float64(info.Size()) {
			t.Fatalf("%v, %v", answer, err)
		}
	}
	return one, two
}

func TestTraceIsCountedAsTheProgramSays(t *testing.T) {
	one, two := programs(t)
	for _, c := range []struct {
		args    string
		threads float64
		rounds  int // 0: latency
		allocs  float64
	}{
		{"heap trace rounds=3 program=" + one, 1, 3, 12},
		{"heap trace program=" + two, 2, 5, 20},
		{"sink trace rounds=1 program=" + one, 1, 1, 4},
		{"heap trace rounds=1 face=1 program=" + one, 1, 1, 4},
		{"heap trace rounds=2 face=2 program=" + one, 1, 2, 8},
		{"heap trace latency=1 rounds=2 settle=1 program=" + one, 1, 0, 8},
		{"heap trace latency=1 rounds=2 program=" + two, 2, 0, 8},
	} {
		a := spawn(t, strings.Fields(c.args)...)
		rounds, _ := a["rounds"].([]any)
		if a["error"] != "" || a["workload"] != "trace" || a["threads"] != c.threads || a["ops"] != 6.0 ||
			a["allocs"] != c.allocs ||
			a["bytes"] != c.allocs*256 ||
			len(rounds) != c.rounds {
			t.Errorf("%s: %v", c.args, a)
		}
		if c.rounds > 0 {
			if ns, _ := a["ns"].(float64); ns <= 0 || a["calls"] != nil || a["p50"] != nil {
				t.Errorf("%s: %v", c.args, a)
			}
			continue
		}
		p50, there := a["p50"].(float64)
		p99, _ := a["p99"].(float64)
		most, _ := a["max"].(float64)
		if a["ns"] != nil || a["calls"] != 12.0 || !there || p99 < p50 || most < p99 || most == 0 {
			t.Errorf("%s: %v", c.args, a)
		}
	}
}

func TestFaultsOfTraceAndDump(t *testing.T) {
	one, two := programs(t)
	file, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	damaged, dir := filepath.Join(t.TempDir(), "damaged"), t.TempDir()
	if err := os.WriteFile(damaged, file[:len(file)-5], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"heap trace", "program=FILE"},
		{"heap trace program=" + damaged, "ends too early"},
		{"heap trace rounds=0 program=" + one, "at least 1"},
		{"heap trace latency=2 program=" + one, "at most 1"},
		{"heap trace threads=2 program=" + one, "the program has the number of threads"},
		{"sink trace program=" + two, "one thread"},
		{"heap trace face=1 program=" + two, "one thread"},
		{"heap trace face=2 latency=1 program=" + one, "without latency=1"},
		{"heap trace face=3 program=" + one, "at most 2"},
		{"sink trace latency=1 program=" + one, "without latency=1"},
		{"hoard trace program=" + one, "choose one of"},
		{"dump file=" + one, "usage: gobench dump"},
		{"dump file=" + one + " out=" + dir + "/x threads=2", "usage: gobench dump"},
		{"dump file=" + one + " to=" + dir + "/x", "the keys of dump"},
		{"dump file=" + one + " out=" + dir + "/x", one + ":1: "},
		{"dump file=/nowhere/at/all out=" + dir + "/x", "/nowhere/at/all"},
	} {
		answer, status := ask(t, strings.Fields(c.args)...)
		if text, _ := answer["error"].(string); status != 1 || !strings.Contains(text, c.want) {
			t.Errorf("gobench %s: status %d, %v; want an error with %q", c.args, status, answer, c.want)
		}
	}
	if _, err := os.Stat(dir + "/x"); err == nil {
		t.Error("a dump that failed has left a file")
	}
}

func TestMedian(t *testing.T) {
	if median([]int64{5}) != 5 || median([]int64{9, 1, 5}) != 5 || median([]int64{9, 1, 5, 7}) != 6 {
		t.Error("wrong")
	}
}
