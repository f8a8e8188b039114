package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unsafe"
)

func ask(t *testing.T, args ...string) (map[string]any, int) {
	t.Helper()
	var out bytes.Buffer
	status := run(args, &out)
	var answer map[string]any
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Fatalf("%v: not one line of JSON: %q", err, &out)
	}
	return answer, status
}

func TestFaultsAreAnsweredWithAnErrorThatSaysWhatToDo(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "usage: gobench"},
		{"heap", "usage: gobench"},
		{"hoard pair", "choose one of"},
		{"heap pair cpus=0", "positive"},
		{"heap pair size=big", "number of bytes"},
		{"heap trace program=/nowhere/at/all", "/nowhere/at/all"},
		{"heap trace program=/dev/null", "gobench dump"},
		{"syncpool larson", "blocks of one size"},
		{"new larson", "pair and batch"},
		{"new pair size=65", "powers of two"},
		{"new pair count=5", "count=5"},
		{"new batch count=0", "at least 1"},
		{"new pair latency=1", "latency"},
	} {
		answer, status := ask(t, strings.Fields(c.args)...)
		if text, _ := answer["error"].(string); status != 1 || !strings.Contains(text, c.want) {
			t.Errorf("gobench %s: status %d, %v; want an error with %q", c.args, status, answer, c.want)
		}
	}
}

func TestNewDoesTheWorkOfPairAndBatch(t *testing.T) {
	for _, c := range []struct {
		args        string
		ops, allocs float64
		bytes       float64
	}{
		{"new pair size=16 iterations=1000", 1000, 1000, 16000},
		{"new pair size=65536 iterations=1000", 250, 250, 250 * 65536},
		{"new batch size=16 iterations=1050 count=100 threads=2", 2000, 2000, 32000},
	} {
		answer, status := ask(t, strings.Fields(c.args)...)
		if status != 0 || answer["ops"] != c.ops || answer["allocs"] != c.allocs || answer["bytes"] != c.bytes {
			t.Errorf("gobench %s: status %d, %v", c.args, status, answer)
		}
	}
}

func TestNewLoopsAllocateOnceForEachOperation(t *testing.T) {
	for size, loops := range newLoops {
		s := &sink{table: make([]unsafe.Pointer, 10)}
		if n := testing.AllocsPerRun(1, func() { loops.pair(s, 10, 0) }); n != 10 {
			t.Errorf("pair of %d: %v allocations, want 10", size, n)
		}
		if n := testing.AllocsPerRun(1, func() { loops.batch(s, 20, 10) }); n != 20 {
			t.Errorf("batch of %d: %v allocations, want 20", size, n)
		}
	}
}
