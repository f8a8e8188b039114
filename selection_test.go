package galloc_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A Selection takes effect before the code of a program runs, so it is tested by the programs below
// testdata/selection, built in every way.

const (
	module       = "github.com/galloc-go/galloc"
	pathOfHeap   = module + "/global/heap"
	pathOfSystem = module + "/global/system"
	linkerFlag   = "-X " + module + ".defaultAllocator="
)

// A way is how a program is built. The zero value is without cgo, which links faster, as an
// executable, without tags.
type way struct {
	dir  string // below testdata/selection; "" is "program"
	tags string // what it imports: see the files there
	x    string // for linkerFlag
	mode string // -buildmode
	cgo  bool
	more string // another flag
}

// A built program is there for all tests that want it, until the end.
type built struct {
	once   sync.Once
	path   string
	output string // of go build
	err    error
}

var builds struct {
	sync.Mutex
	dir string
	all map[way]*built
}

// removeBuilds is for TestMain, when all tests have run.
func removeBuilds() {
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir)
	}
}

// build runs go build, once for each way.
func build(t *testing.T, w way) *built {
	t.Helper()
	needGo(t)
	if w.dir == "" {
		w.dir = "program"
	}
	builds.Lock()
	if builds.all == nil {
		dir, err := os.MkdirTemp("", "galloc-selection-")
		if err != nil {
			builds.Unlock()
			t.Fatal(err)
		}
		builds.dir, builds.all = dir, map[way]*built{}
	}
	b := builds.all[w]
	if b == nil {
		b = &built{path: filepath.Join(builds.dir, fmt.Sprintf("%s%d", w.dir, len(builds.all)))}
		switch {
		case w.mode == "c-archive":
			b.path += ".a"
		case w.mode == "c-shared" || w.mode == "plugin":
			b.path += ".so"
		case runtime.GOOS == "windows":
			b.path += ".exe"
		}
		builds.all[w] = b
	}
	builds.Unlock()
	b.once.Do(func() {
		args := []string{"build", "-buildvcs=false", "-o", b.path, "-tags", w.tags, "-ldflags=-w"}
		if w.x != "" {
			args[len(args)-1] += " -X '" + strings.TrimPrefix(linkerFlag, "-X ") + w.x + "'"
		}
		if w.mode != "" {
			args = append(args, "-buildmode="+w.mode)
		}
		if w.more != "" {
			args = append(args, w.more)
		}
		cmd := exec.Command("go", append(args, "./testdata/selection/"+w.dir)...)
		cgo := "CGO_ENABLED=0"
		if w.cgo {
			cgo = "CGO_ENABLED=1"
		}
		cmd.Env = append(os.Environ(), "GOFLAGS=", cgo)
		out, err := cmd.CombinedOutput()
		b.output, b.err = string(out), err
	})
	return b
}

// program returns the path of what has been built.
func program(t *testing.T, w way) string {
	t.Helper()
	b := build(t, w)
	if b.err != nil {
		t.Fatalf("%+v: %v\n%s", w, b.err, b.output)
	}
	return b.path
}

// needCgo skips a test on systems other than Linux, and where there is no C compiler.
func needCgo(t *testing.T) {
	t.Helper()
	needGo(t)
	out, err := exec.Command("go", "env", "CGO_ENABLED", "CC").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 2 || words[0] != "1" {
		t.Skip("cgo is off")
	}
	if _, err := exec.LookPath(words[1]); err != nil || runtime.GOOS != "linux" {
		t.Skip("this test is for Linux with a C compiler: ", err)
	}
}

// run runs a program, with nothing of galloc's in the environment but env, and returns what it has
// printed, both streams together, and its exit status.
func run(t *testing.T, env []string, path string, args ...string) (output string, status int) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(append(os.Environ(), "GALLOC=", "MMM="), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// wantInOrder checks that all of says are in text, each after the one before.
func wantInOrder(t *testing.T, text string, says ...string) {
	t.Helper()
	rest := text
	for _, s := range says {
		_, after, found := strings.Cut(rest, s)
		if !found {
			t.Fatalf("no %q in its place in:\n%s", s, text)
		}
		rest = after
	}
}

func TestTwoSelectionsDoNotLink(t *testing.T) {
	t.Parallel()
	for _, tags := range []string{"heap,system", "heap,usessystem", "system,usesheap", "heap,own", "jemalloc,mimalloc"} {
		t.Run(tags, func(t *testing.T) {
			t.Parallel()
			b := build(t, way{tags: tags})
			if b.err == nil {
				t.Fatal("it links")
			}
			wantInOrder(t, b.output, "link: duplicated definition of symbol "+module+".multiple_global_allocators, from ")
			paths := []string{pathOfHeap, pathOfSystem}
			switch tags {
			case "heap,own":
				paths[1] = module + "/testdata/selection/mmm"
			case "jemalloc,mimalloc":
				paths = []string{module + "/global/jemalloc", module + "/global/mimalloc"}
			}
			for _, path := range paths {
				wantInOrder(t, b.output, path+" ")
			}
		})
	}
}

func TestImportSelects(t *testing.T) {
	t.Parallel()
	const (
		mmm   = module + "/testdata/selection/mmm"
		fresh = "New, before the package is initialized: true\n"
	)
	for _, c := range []struct {
		name string
		way  way
		args string
		env  string
		says []string
	}{
		{"heap", way{tags: "heap"}, "name use name", "", []string{
			"galloc heap, selected by the import of " + pathOfHeap + "\n", "galloc heap, selected by the import of " + pathOfHeap + "\n",
		}},
		{"system", way{tags: "system"}, "name use name", "", []string{
			"galloc.System (", "), selected by the import of " + pathOfSystem + "\n", "), selected by the import of " + pathOfSystem + "\n",
		}},
		{"the same from two packages", way{tags: "heap,usesheap"}, "name", "", []string{"galloc heap, selected by the import of " + pathOfHeap + "\n"}},
		{"one's own", way{tags: "own"}, "name use name", "", []string{
			fresh, "*mmm.owner, selected by the import of " + mmm + "\n", "*mmm.owner, selected by the import of " + mmm + "\n",
		}},
		{"and Register panics", way{tags: "own"}, "register use name", "", []string{
			"galloc: RegisterGlobal at ", "main.go:", "; the import of " + mmm + " selects the global allocator already: drop one of the two (go mod why " + mmm,
			"*mmm.owner, selected by",
		}},
		// Blocks that libraries have allocated while they were initialized, before and after the
		// package that selects, are freed by the allocator that they came from.
		{"before all others", way{tags: "own,early"}, "free name", "", []string{fresh, "2 freed\n", "*mmm.owner, selected by"}},
		{"without inlining", way{tags: "heap,early", more: "-gcflags=" + module + "/...=-N -l"}, "free name", "", []string{"2 freed\n", "galloc heap, selected by"}},
		{"position independent", way{tags: "own,early", mode: "pie"}, "free name", "", []string{fresh, "2 freed\n", "*mmm.owner, selected by"}},
		{"under the race detector", way{tags: "own,early", cgo: true, more: "-race"}, "free name", "", []string{fresh, "2 freed\n", "*mmm.owner, selected by"}},

		{"nil", way{tags: "own"}, "name", "MMM=nil", []string{fresh, "panic: galloc: New of the Selection in " + mmm + " returns nil: pass an allocator\n"}},
		{"itself", way{tags: "own"}, "name", "MMM=global", []string{fresh, "panic: galloc: New of the Selection in " + mmm + " returns an allocator made of galloc.Global"}},
		{"by use", way{tags: "own"}, "name", "MMM=use", []string{
			fresh, "panic: galloc: New of the Selection in " + mmm + " uses the global allocator, which it must return, at ", "mmm.go:",
		}},
		{"at run time", way{tags: "dynamic"}, "name", "", []string{
			"panic: galloc: " + module + "/testdata/selection/dynamic sets multiple_global_allocators when it is initialized, which is too late",
		}},
		{"at run time, beside another one, which links", way{tags: "dynamic,heap"}, "name", "", []string{
			"panic: galloc: " + module + "/testdata/selection/dynamic sets multiple_global_allocators when it is initialized, which is too late",
		}},
		{"none, and a library is first", way{tags: "early"}, "register free name", "", []string{
			"galloc: RegisterGlobal at ", "main.go:", "; the global allocator is already in use since ", "aaa.go:", "2 freed\n",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.way.cgo {
				needCgo(t)
				if exec.Command("go", "list", "-race", "unsafe").Run() != nil {
					t.Skip("there is no race detector for this platform")
				}
			}
			if c.way.mode == "pie" && runtime.GOARCH == "386" {
				needCgo(t) // it needs the linker of the C compiler there
			}
			out, _ := run(t, []string{c.env}, program(t, c.way), strings.Fields(c.args)...)
			wantInOrder(t, out, c.says...)
			if c.args == "name" && strings.Contains(out, "GALLOC") {
				t.Errorf("GALLOC is not set:\n%s", out)
			}
		})
	}
}

// TestPrecedence: code, GALLOC, the linker's flag, the build mode.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	const (
		goheap = "galloc.GoHeap, registered at "
		system = "galloc.System ("
	)
	for _, c := range []struct {
		tags, x, env, args string
		says               []string // the last is at the end
	}{
		{"", "", "", "use name", []string{"galloc heap, the default for -buildmode=exe\n"}},
		{"", "", "", "register name", []string{goheap, "\n"}},
		{"", "", "system", "name use name", []string{system, "), chosen by GALLOC=system\n", "), chosen by GALLOC=system\n"}},
		{"", "", "system", "register use name", []string{goheap, "; GALLOC=system is overridden by the program\n"}},
		{"", "", "heap,decay=10s", "register name", []string{
			goheap, "; GALLOC=heap,decay=10s is overridden by the program, but for the options of the heap of the process\n",
		}},
		{"", "system", "", "name use name", []string{system, "), chosen by " + linkerFlag + "system\n", "), chosen by " + linkerFlag + "system\n"}},
		{"", "system", "heap", "use name", []string{
			"galloc heap, chosen by GALLOC=heap; " + linkerFlag + "system is overridden by GALLOC\n",
		}},
		{"", "system", "", "register use name", []string{goheap, "; " + linkerFlag + "system is overridden by the program\n"}},
		{"", "system", "heap", "register use name", []string{
			goheap, "; GALLOC=heap is overridden by the program; " + linkerFlag + "system is overridden by GALLOC\n",
		}},
		{"", "heap,limit=8MiB", "", "limits name", []string{"0 8388608\n", "galloc heap, chosen by " + linkerFlag + "heap,limit=8MiB\n"}},
		// GALLOC replaces all of it, or nothing.
		{"", "heap,limit=8MiB", "heap,softlimit=1MiB", "limits", []string{"1048576 0\n"}},
		{"", "heap,limit=8MiB", "system", "limits", []string{"0 0\n"}},
		// New of the package named is not called.
		{"named", "", "", "use name", []string{"galloc heap, the default for -buildmode=exe\n"}},
		{"named", "", "jemalloc", "name use name", []string{"New\nnamed.allocator, chosen by GALLOC=jemalloc\n", "named.allocator, chosen by GALLOC=jemalloc\n"}},
		{"named,heap", "", "jemalloc", "name", []string{
			"galloc heap, selected by the import of " + pathOfHeap + "; GALLOC=jemalloc is overridden by the program\n",
		}},
		{"heap", "", "system", "use name", []string{
			"galloc heap, selected by the import of " + pathOfHeap + "; GALLOC=system is overridden by the program\n",
		}},
		{"heap", "", "heap,limit=8MiB", "limits name", []string{"0 8388608\n", "galloc heap, selected by", "but for the options of the heap of the process\n"}},
		{"heap", "system", "", "use name", []string{
			"galloc heap, selected by the import of " + pathOfHeap + "; " + linkerFlag + "system is overridden by the program\n",
		}},
	} {
		t.Run(fmt.Sprintf("import=%s X=%s GALLOC=%s %s", c.tags, c.x, c.env, c.args), func(t *testing.T) {
			t.Parallel()
			out, status := run(t, []string{"GALLOC=" + c.env}, program(t, way{tags: c.tags, x: c.x}), strings.Fields(c.args)...)
			wantInOrder(t, out, c.says...)
			if status != 0 || !strings.HasSuffix(out, c.says[len(c.says)-1]) {
				t.Errorf("status %d, and at the end not %q:\n%s", status, c.says[len(c.says)-1], out)
			}
		})
	}
}

func TestOptionsOfTheHeapAreObeyed(t *testing.T) {
	t.Parallel()
	for env, c := range map[string]struct{ args, says string }{
		"":                                 {"limits fill misuse", "0 0\nfalse 1000 MiB\nnot noticed\n"},
		"heap,limit=16MiB,softlimit=12MiB": {"limits", "12582912 16777216\n"},
		"heap,limit=16MiB":                 {"fill", "true 1"}, // some MiB less than 16
		"heap,checked=on":                  {"misuse name", "double free"},
		"heap,decay=never,hugepages=on,purge=lazy,checked=off": {"use misuse", "not noticed\n"},
	} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			if out, _ := run(t, []string{"GALLOC=" + env}, program(t, way{}), strings.Fields(c.args)...); !strings.Contains(out, c.says) {
				t.Errorf("no %q in:\n%s", c.says, out)
			}
		})
	}
}

// TestBadSettings: the program ends before main, with status 2 and one line, even if it would
// choose in code. setting_test.go has all that can be wrong.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		way way
		env string
		by  string
	}{
		{way{}, "foo", "GALLOC=foo: no such allocator: known are heap (options limit=SIZE, "},
		{way{}, "heap,", `GALLOC=heap,: there is no option after the comma`},
		{way{}, "heap,limit=a lot", `GALLOC=heap,limit=a lot: option "limit": "a lot": write a whole number`},
		{way{}, "a\nb", `GALLOC="a\nb": no such allocator`},
		{way{}, "jemalloc", "GALLOC=jemalloc: jemalloc is not in this program"},
		{way{tags: "named"}, "mimalloc", "GALLOC=mimalloc: mimalloc is not in this program"},
		{way{tags: "named"}, "foo", "GALLOC=foo: no such allocator: known are heap (options limit=SIZE, softlimit=SIZE, decay=DURATION|never, purge=now|lazy, hugepages=off|on, overcommit=off|on, checked=off|on), debug, system, jemalloc\n"},
		{way{tags: "own"}, "foo", "GALLOC=foo: no such allocator"},
		{way{tags: "heap"}, "foo", "GALLOC=foo: no such allocator"},
		{way{x: "foo"}, "", linkerFlag + "foo: no such allocator: known are heap"},
		{way{x: "foo"}, "heap", linkerFlag + "foo: no such allocator"},
	} {
		t.Run(fmt.Sprintf("import=%s X=%s GALLOC=%q", c.way.tags, c.way.x, c.env), func(t *testing.T) {
			t.Parallel()
			out, status := run(t, []string{"GALLOC=" + c.env}, program(t, c.way), "name")
			if status != 2 || !strings.HasPrefix(out, "galloc: "+c.by) || strings.Count(out, "\n") != 1 {
				t.Errorf("status %d, want 2 and one line with %q:\n%s", status, c.by, out)
			}
		})
	}
}

// TestDefaultOfTheArtifact: the heap in executables; in what is loaded into a program in C System,
// whatever its environment says, and so that the program can free what it gets.
func TestDefaultOfTheArtifact(t *testing.T) {
	t.Parallel()
	const isSystem = "galloc.System (libc malloc), the default for -buildmode="
	for _, c := range []struct {
		way  way
		env  string
		says string
	}{
		{way{cgo: true, mode: "exe"}, "", "galloc heap, the default for -buildmode=exe\n"},
		{way{cgo: true, mode: "pie"}, "", "galloc heap, the default for -buildmode=pie\n"},
		{way{mode: "pie"}, "", "galloc heap, the default for -buildmode=pie\n"},
		{way{mode: "pie"}, "system", ", chosen by GALLOC=system\n"},
		{way{cgo: true, dir: "library", mode: "c-archive"}, "", isSystem + "c-archive\n"},
		{way{cgo: true, dir: "library", mode: "c-archive"}, "heap", isSystem + "c-archive; GALLOC=heap has no effect: this is not an executable\n"},
		{way{cgo: true, dir: "library", mode: "c-shared"}, "", isSystem + "c-shared\n"},
		{way{cgo: true, dir: "library", mode: "c-shared"}, "no such", isSystem + "c-shared; GALLOC=no such has no effect: this is not an executable\n"},
		{way{cgo: true, dir: "library", mode: "c-shared", tags: "heap"}, "system", "galloc heap, selected by the import of " + pathOfHeap + "; GALLOC=system has no effect"},
		{way{cgo: true, dir: "library", mode: "c-archive", x: "heap"}, "system", "galloc heap, chosen by " + linkerFlag + "heap; GALLOC=system has no effect"},
	} {
		t.Run(fmt.Sprintf("%+v GALLOC=%s", c.way, c.env), func(t *testing.T) {
			t.Parallel()
			if c.way.cgo || runtime.GOARCH == "386" {
				needCgo(t)
			}
			path := program(t, c.way)
			if c.way.dir == "library" {
				host := filepath.Join(t.TempDir(), "host")
				if out, err := exec.Command("gcc", "-o", host, "testdata/selection/host.c", path, "-lpthread").CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				path = host
			}
			out, status := run(t, []string{"GALLOC=" + c.env}, path, "use", "name")
			if wantInOrder(t, out, c.says); status != 0 {
				t.Errorf("status %d:\n%s", status, out)
			}
		})
	}
}

// TestPlugins: a plugin has the allocator of its host. One that selects another one says so when it
// is opened.
func TestPlugins(t *testing.T) {
	t.Parallel()
	needCgo(t)
	const plain = "plugin: galloc heap, the default for -buildmode=exe\n"
	bySystem := "), selected by the import of " + pathOfSystem + "\n"
	for _, c := range []struct {
		host, plugin string // tags
		says         []string
	}{
		{"", "", []string{plain}},
		// The host does not use galloc.
		{"", "heap", []string{"plugin: galloc heap, selected by the import of " + pathOfHeap}},
		{"galloc", "", []string{"host: galloc heap, the default for ", plain}},
		{"galloc", "heap", []string{"galloc: " + pathOfHeap + " cannot select the global allocator: it is in a plugin, and not in its host"}},
		{"galloc,system", "", []string{"host: galloc.System (", bySystem, "plugin: galloc.System (", bySystem}},
		{"galloc,system", "heap", []string{"galloc: " + pathOfHeap + " is in a plugin, and " + pathOfSystem + " in its host"}},
		{"galloc,heap", "heap", []string{"plugin: galloc heap, selected by the import of " + pathOfHeap}},
	} {
		t.Run("host="+c.host+" plugin="+c.plugin, func(t *testing.T) {
			t.Parallel()
			host := program(t, way{dir: "host", tags: c.host, cgo: true})
			plugin := program(t, way{dir: "plugin", tags: c.plugin, cgo: true, mode: "plugin"})
			out, _ := run(t, nil, host, plugin)
			wantInOrder(t, out, c.says...)
		})
	}
}
