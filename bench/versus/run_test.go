package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCommands(t *testing.T) {
	find := func(name string) *allocator {
		a := *allocators()[slices.IndexFunc(allocators(), func(a *allocator) bool { return a.Name == name })]
		a.program = "gobench"
		if name == "mimalloc" {
			a.library = "/lib/libmimalloc.so.2"
		}
		return &a
	}
	larson := row{
		Group: workGroup, Name: "larson-sized", Workload: "larson", Settings: []string{"sized=1"}, CPUs: 2,
		Threads: 2,
	}
	pair := row{
		Group: pairGroup, Name: "pair 8", Workload: "pair", Settings: []string{"size=8", "iterations=9"},
		Slow: []string{"size=8"}, CPUs: 1, Threads: 1,
	}
	sqlite := traceRow("sqlite", "sqlite.program", 1, 2, false)
	for _, c := range []struct {
		j    job
		want string
	}{
		{job{larson, find("heap"), false, false}, "gobench heap larson cpus=2 threads=2 sized=1"},
		{job{larson, find("mimalloc"), false, false}, "LD_PRELOAD=/lib/libmimalloc.so.2 native larson threads=2 sized=1"},
		{job{larson, find("glibc"), true, true}, "native larson threads=2 sized=1 latency=1 settle=2000"},
		{job{larson, find("glibc"), true, false}, "native larson threads=2 sized=1 latency=1"},
		{job{pair, find("heap"), false, false}, "gobench heap pair cpus=1 threads=1 size=8 iterations=9"},
		{job{pair, find("modernc"), false, false}, "gobench modernc pair cpus=1 threads=1 size=8"},
		{job{sqlite, find("heap"), false, false}, "gobench heap trace cpus=1 program=sqlite.program rounds=5"},
		{job{sqlite, find("go"), false, false}, "gobench go trace cpus=1 program=sqlite.program rounds=1"},
		{job{sqlite, find("sink-c"), false, false}, "native trace sink=1 program=sqlite.program rounds=5"},
	} {
		args, env := c.j.command("native")
		if got := strings.Join(append(env, args...), " "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestAnswersAndTheirFaults(t *testing.T) {
	failed := exec.Command("false").Run()
	var exit *exec.ExitError
	if !errors.As(failed, &exit) {
		t.Skip("no program that fails")
	}
	for _, c := range []struct {
		out, crash string
		ended      error
		want       string // of the error
	}{
		{`{"workload":"pair","ops":5,"ns":31.5,"allocs":5,"bytes":320,"peak_rss":4096,"error":""}`, "", nil, ""},
		{`{"error":"size: a number"}`, "", failed, "size: a number"},
		{``, "panic: oh\n\ngoroutine 1", failed, "exit status 1: panic: oh"},
		{`{"ops":`, "", nil, "cannot be parsed"},
	} {
		a, err := parse([]byte(c.out), []byte(c.crash), c.ended)
		switch {
		case c.want == "" && (err != nil || a.Ops != 5 || a.Ns != 31.5 || *a.PeakRSS != 4096):
			t.Errorf("%q: %+v, %v", c.out, a, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want an error with %q", c.out, err, c.want)
		}
	}
}

func TestWhatAProgramThatHangsOrDoesNotExistGives(t *testing.T) {
	if _, err := exec.LookPath("sleep"); err != nil {
		t.Skip("no sleep")
	}
	slow := &allocator{Name: "glibc", Native: true}
	j := job{row{Workload: "60", CPUs: 1, Threads: 1}, slow, false, false}
	script := filepath.Join(t.TempDir(), "native")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec sleep $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := runner{script, 10 * time.Millisecond}.run(context.Background(), j)
	if !strings.Contains(s.Answer.Error, "-timeout") {
		t.Errorf("a program that hangs: %+v", s.Answer)
	}
	s = runner{script + "x", time.Minute}.run(context.Background(), j)
	if !strings.Contains(s.Answer.Error, "no such file") {
		t.Errorf("a program that is not there: %+v", s.Answer)
	}
}

func TestLibrariesAreFoundInTheCacheOfTheLinker(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "libmimalloc.so.2")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cache := "2 libs found in cache\n" +
		"\tlibmimalloc.so.2 (libc6,x86-64,AArch64) => " + filepath.Join(dir, "gone") + "\n" +
		"\tlibmimalloc.so.2 (libc6,x86-64,AArch64) => " + file + "\n"
	if got := findLibrary("libmimalloc.so.2", cache); got != file {
		t.Errorf("got %q, want %q", got, file)
	}
	if got := findLibrary("libnothing-of-that-name.so.9", cache); got != "" {
		t.Errorf("got %q for what is not there", got)
	}
}

func TestEachTraceIsARowAndOneMoreIfItHasThreads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mariadb", "sqlite"} {
		if err := os.WriteFile(filepath.Join(dir, name+traceEnding), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// It makes programs of 34 threads of mariadb with threads=1, and of one thread of all else.
	script := filepath.Join(dir, "gobench")
	text := "#!/bin/sh\nn='\\001'\ncase \"$2 $4\" in *mariadb*threads=1) n='\\042';; esac\n" +
		"printf \"mallocprogram1\\n\\000$n\\000\\000\\000\" >\"${3#out=}\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	rows, err := traceRows(context.Background(), dir, script, []string{dir, dir}, 2, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.id()+" on "+strconv.Itoa(r.CPUs)+" of "+filepath.Base(r.program))
	}
	want := []string{
		"mariadb on 1 of mariadb-0.program", "sqlite on 1 of sqlite-0.program",
		"mariadb, sizes at run time on 1 of mariadb-0.program", "mariadb, slices on 1 of mariadb-0.program",
		"sqlite, sizes at run time on 1 of sqlite-0.program", "sqlite, slices on 1 of sqlite-0.program",
		"mariadb, 34 threads on 2 of mariadb-1.program",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if rows, err = traceRows(context.Background(), dir, script, []string{dir}, 2, true); err != nil || len(rows) != 2 {
		t.Errorf("with -quick: %d rows, %v", len(rows), err)
	}
	if _, err := traceRows(context.Background(), dir, script, []string{t.TempDir()}, 2, false); err == nil {
		t.Error("no error for a folder without traces")
	}
}
