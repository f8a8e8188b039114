//go:build cgo && unix && !race

package capi_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/galloc-go/galloc"
)

func TestFunctionsKeepTheContractOfTheHeader(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.String(), func(t *testing.T) {
			cases(t, nil, l.c(t, "functions.c"), "alignments", "zeroed", "realloc", "inplace", "usable", "size zero", "bad layouts", "threads", "rows")
		})
	}
}

func TestTheShippedLibraryIsTheHeap(t *testing.T) {
	for _, l := range libraries {
		out, errs, err := run(nil, l.c(t, "functions.c"), "name")
		if err != nil || !strings.HasPrefix(out, "galloc heap, registered at ") || !strings.Contains(out, "main.go:") {
			t.Errorf("%v: %v, %q\n%s", l, err, out, errs)
		}
	}
}

// LeakSanitizer looks for the addresses of blocks of malloc in the memory that it knows, to which
// Go's does not belong.
func TestTheNameIsNoLeak(t *testing.T) {
	need(t, "go", "gcc")
	probe := exec.Command("gcc", "-fsanitize=leak", "-xc", "-o", filepath.Join(dir, "probe"), "-")
	probe.Stdin = strings.NewReader("int main(void) { return 0; }")
	if err := probe.Run(); err != nil || exec.Command(filepath.Join(dir, "probe")).Run() != nil {
		t.Skip("there is no LeakSanitizer here, or it does not work")
	}
	host := file(t, "leaks", nil, "gcc", "-std=c11", "-D_GNU_SOURCE", "-fsanitize=leak", "-g", "-o", "", "testdata/functions.c",
		library{"galloc", "archive"}.build(t), "-lpthread")
	if out, errs, err := run(nil, host, "name"); err != nil {
		t.Errorf("%v, %q\n%s", err, out, errs)
	}
}

// A panic of the Go side prints a message and raises SIGABRT: it does not unwind through C.
func TestMisuseEndsTheHostWithAMessage(t *testing.T) {
	for _, l := range libraries {
		_, errs, err := run(nil, l.c(t, "functions.c"), "double free")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.HasPrefix(exit.String(), "signal: aborted") || !strings.HasPrefix(errs, "panic: galloc/heap: double free of the block at 0x") {
			t.Errorf("%v: %v\n%s", l, err, errs)
		}
	}
}

func TestForksSignalsAndEndsOfThreads(t *testing.T) {
	// Under nohup SIGHUP is ignored, and would be in the hosts. A signal caught here has its
	// default action in the hosts.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for _, l := range libraries {
		t.Run(l.String(), func(t *testing.T) {
			cases(t, nil, l.c(t, "process.c"), "fork without exec", "arena ends", "arena small", "fork then exec", "signal handlers", "crash", "thread exit")
		})
	}
}

// The constructors of a host run before Go starts, if the library is an archive, and after that, if
// it is shared.
func TestConstructorsOfTheHostAllocate(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.String(), func(t *testing.T) { cases(t, nil, l.c(t, "early.c"), "blocks") })
	}
}

func TestInitArrayOfRustAllocates(t *testing.T) {
	for kind, early := range map[string]string{"archive": "the arena of the time before Go has started", "shared": "galloc heap"} {
		t.Run(kind, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("the name of the section is Linux's")
			}
			out, errs, err := run(nil, library{"galloc", kind}.rust(t, "early.rs"))
			if names := strings.Split(out, "\n"); err != nil || len(names) != 3 ||
				!strings.HasPrefix(names[0], early) || !strings.HasPrefix(names[1], "galloc heap") {
				t.Fatalf("%v, %q\n%s", err, out, errs)
			}
		})
	}
}

func TestEachCallReachesACustomAllocatorOnce(t *testing.T) {
	for _, kind := range []string{"archive", "shared"} {
		t.Run(kind, func(t *testing.T) {
			cases(t, nil, library{"counting", kind}.c(t, "counting.c"), "override", "each call once", "no garbage", "collected", "threads")
		})
	}
}

func TestTwoLibrariesInOneProcess(t *testing.T) {
	a, b := library{"galloc", "shared"}.build(t), library{"counting", "shared"}.build(t)
	host := file(t, "two", nil, "gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-o", "", "testdata/two.c", "-ldl", "-lpthread")
	cases(t, []string{"LIBGALLOC=" + a, "LIBCOUNTING=" + b}, host, "local", "global")
}

func TestRustAndGoCountTheSame(t *testing.T) {
	for _, kind := range []string{"archive", "shared"} {
		t.Run(kind, func(t *testing.T) {
			if out, errs, err := run(nil, library{"counting", kind}.rust(t, "program.rs")); err != nil || out != "ok\n" {
				t.Fatalf("%v, %q\n%s", err, out, errs)
			}
		})
	}
}

// From Rust's tests of 2015: binaries get the good allocator, and libraries the system's.
func TestTheDefaultDependsOnTheArtifact(t *testing.T) {
	need(t, "go", "gcc")
	want := map[string]string{
		file(t, "default", nil, "go", "build", "-o", "", "./testdata/default"): "galloc heap, the default for -buildmode=exe\nok\n",
		library{"default", "archive"}.c(t, "functions.c"):                      "galloc.System (libc malloc), the default for -buildmode=c-archive\nok\n",
		library{"default", "shared"}.c(t, "functions.c"):                       "galloc.System (libc malloc), the default for -buildmode=c-shared\nok\n",
	}
	for program, name := range want {
		if out, errs, err := run(nil, program, "name"); err != nil || out != name {
			t.Errorf("%v, %q, want %q\n%s", err, out, name, errs)
		}
	}
	cases(t, nil, library{"default", "archive"}.c(t, "functions.c"), "zeroed", "size zero", "bad layouts", "rows")
}

// From Rust's tests of 2015: cannot link together two allocators. Here the error appears when they
// are loaded.
func TestTwoAllocatorsInOneLibraryPanic(t *testing.T) {
	for _, kind := range []string{"archive", "shared"} {
		out, errs, err := run(nil, library{"twice", kind}.c(t, "functions.c"), "name")
		if err == nil || !strings.HasPrefix(errs, "panic: galloc: RegisterGlobal at ") ||
			!strings.Contains(errs, "main.go:14; a global allocator is already registered at ") || !strings.Contains(errs, "main.go:12\n") {
			t.Errorf("%s: %v, %q\n%s", kind, err, out, errs)
		}
	}
}

// C keeps addresses where the garbage collector does not see them.
func TestAGarbageCollectedAllocatorServesNoHost(t *testing.T) {
	for _, kind := range []string{"archive", "shared"} {
		host := library{"goheap", kind}.c(t, "functions.c")
		for _, first := range []string{"realloc", "zeroed"} {
			_, errs, err := run(nil, host, first)
			if err == nil || !strings.HasPrefix(errs, "panic: galloc/capi: the blocks of the global allocator are garbage collected") {
				t.Errorf("%s, %s: %v\n%s", kind, first, err, errs)
			}
		}
	}
}

// The files that make capi installs are enough to build a host, with the flags of galloc.pc and by
// the commands that install.sh prints.
func TestInstalled(t *testing.T) {
	need(t, "go", "gcc", "sh")
	prefix := filepath.Join(dir, "prefix")
	if _, errs, err := run(nil, "sh", "install.sh", prefix); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	pc, err := os.ReadFile(filepath.Join(prefix, "lib", "pkgconfig", "galloc.pc"))
	if err != nil {
		t.Fatal(err)
	}
	flags := func(key string) []string { // as pkg-config does
		for line := range strings.Lines(string(pc)) {
			if value, ok := strings.CutPrefix(line, key+": "); ok {
				return strings.Fields(strings.NewReplacer(`"`, "", "${includedir}", prefix+"/include", "${libdir}", prefix+"/lib").Replace(value))
			}
		}
		t.Fatalf("galloc.pc has no %s:\n%s", key, pc)
		return nil
	}
	if !strings.HasPrefix(string(pc), "prefix="+prefix+"\nincludedir=${prefix}/include\nlibdir=${prefix}/lib\n") {
		t.Errorf("galloc.pc:\n%s", pc)
	}
	source := filepath.Join(dir, "installed.c")
	text := "#include <galloc.h>\n#include <stdio.h>\nint main(void) { void *p = galloc_alloc(8, 8); galloc_dealloc(p, 8, 8); puts(galloc_name()); return p == NULL; }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"shared": append(append(flags("Cflags"), flags("Libs")...), "-Wl,-rpath,"+prefix+"/lib"),
		"static": append(append(flags("Cflags"), prefix+"/lib/libgalloc.a"), flags("Libs.private")...),
	} {
		host := file(t, "installed-"+name, nil, append([]string{"gcc", "-o", "", source}, args...)...)
		// -trimpath: an installed library names no folder of the machine that built it.
		if out, errs, err := run(nil, host); err != nil || !strings.HasPrefix(out, "galloc heap, registered at github.com/galloc-go/galloc/capi/") {
			t.Errorf("%s: %v, %q\n%s", name, err, out, errs)
		}
	}
}

// A prefix may have every character that sed, the shell or pkg-config takes for something else.
func TestInstalledWithSpecialCharacters(t *testing.T) {
	need(t, "go", "gcc", "sh", "pkg-config")
	prefix := filepath.Join(dir, `a & b|c#d\e'f`)
	out, errs, err := run(nil, "sh", "install.sh", prefix)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	source := filepath.Join(dir, "main.c")
	text := "#include <galloc.h>\nint main(void) { void *p = galloc_alloc(8, 8); galloc_dealloc(p, 8, 8); return p == 0; }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for line := range strings.Lines(out) {
		kind, command, _ := strings.Cut(strings.TrimSpace(line), ":  ")
		if kind != "shared" && kind != "static" {
			continue
		}
		commands++
		host := filepath.Join(dir, "special-"+kind)
		command = strings.Replace(command, "cc main.c", "gcc -o "+host+" "+source, 1)
		if _, errs, err := run(nil, "sh", "-c", command); err != nil {
			t.Errorf("%s: %v\n%s", command, err, errs)
		} else if _, errs, err := run(nil, host); err != nil {
			t.Errorf("%s: %v\n%s", host, err, errs)
		}
	}
	if commands != 2 {
		t.Errorf("it prints\n%s", out)
	}
}

func TestInstallRefuses(t *testing.T) {
	need(t, "sh")
	sh := galloc.Must(exec.LookPath("sh"))
	if _, errs, err := run(nil, sh, "install.sh", "relative/path"); err == nil || !strings.Contains(errs, "not an absolute path") {
		t.Errorf("a relative path: %v\n%s", err, errs)
	}
	if _, errs, err := run(nil, sh, "install.sh", "/a$b"); err == nil || !strings.Contains(errs, "/a$b contains a $, which") {
		t.Errorf("a dollar: %v\n%s", err, errs)
	}
	if _, errs, err := run([]string{"PATH=/nowhere"}, sh, "install.sh", dir); err == nil || !strings.Contains(errs, "there is no go command in PATH") {
		t.Errorf("without go: %v\n%s", err, errs)
	}
}

// The build script of the crate finds the library, and says what to do if it does not.
func TestTheBuildScriptOfTheCrate(t *testing.T) {
	need(t, "rustc")
	script := file(t, "build-script", nil, "rustc", "--edition=2021", "-Dwarnings", "-o", "", "rust/build.rs")
	folder := filepath.Join(dir, "found")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libgalloc.a", "libmy.so"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := "GALLOC_LIB_DIR=" + folder
	for _, c := range []struct {
		env       []string
		out, errs string // parts of the output; errs only if it fails
	}{
		{[]string{in}, "cargo:rustc-link-search=native=" + folder + "\ncargo:rerun-if-changed=" + folder + "/libgalloc.a\ncargo:rustc-link-lib=static=galloc\n", ""},
		{[]string{in, "GALLOC_LIB=my", "GALLOC_LIB_KIND=dylib"}, "cargo:rerun-if-changed=" + folder + "/libmy.so\ncargo:rustc-link-lib=dylib=my\n", ""},
		{[]string{in, "GALLOC_LIB=my"}, "", "there is no libmy.a in " + in + ": `make capi PREFIX=/usr/local` in the folder of galloc"},
		{[]string{in, "GALLOC_LIB_KIND=shared"}, "", "GALLOC_LIB_KIND=shared: write static or dylib"},
		{[]string{"GALLOC_LIB=nowhere"}, "cargo:warning=there is no libnowhere.a in /usr/local/lib or /usr/lib: `make capi PREFIX=", ""},
	} {
		out, errs, err := run(append([]string{"CARGO_CFG_TARGET_OS=linux"}, c.env...), script)
		if (err != nil) != (c.errs != "") || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) ||
			!strings.Contains(out, "cargo:rerun-if-env-changed=GALLOC_LIB_DIR\n") {
			t.Errorf("%q: %v, %s%s", c.env, err, out, errs)
		}
	}
}

// The header is C of any standard, and C++.
func TestTheHeaderStandsAlone(t *testing.T) {
	need(t, "gcc")
	for _, std := range []string{"-std=c89", "-std=c17", "-xc++"} {
		if _, errs, err := run(nil, "gcc", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", std, "galloc.h"); err != nil {
			if std == "-xc++" && strings.Contains(errs, "cc1plus") {
				t.Log("gcc has no C++ here")
				continue
			}
			t.Errorf("%s: %v\n%s", std, err, errs)
		}
	}
}

// The Rust crate, the header and the shim name the same functions.
func TestTheSameFunctionsEverywhere(t *testing.T) {
	names := func(file, pattern string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range regexp.MustCompile(`(?m)`+pattern).FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	header := names("galloc.h", `^[a-z].*\b(galloc_\w+)\(`)
	if len(header) != 10 {
		t.Errorf("the header has %d functions: %q", len(header), header)
	}
	if shim := names("shim.c", `^[a-z].*\b(galloc_\w+)\(.*\{`); !slices.Equal(shim, header) {
		t.Errorf("shim.c has %q, the header %q", shim, header)
	}
	for _, name := range names("rust/src/lib.rs", `^    fn (galloc_\w+)\(`) {
		if !slices.Contains(header, name) {
			t.Errorf("the header has no %s, which the crate calls", name)
		}
	}
}

// The reports of a memory checker name the calls of the host, and addr2line their lines: each leak
// has its own place.
func TestReportsShowTheStackOfTheHost(t *testing.T) {
	need(t, "addr2line")
	call := regexp.MustCompile(`(?m)\t\t(.+)\+(0x[0-9a-f]+)$`)
	// name replaces the addresses in a report by the functions of the host.
	name := func(report, host string) string {
		return call.ReplaceAllStringFunc(report, func(s string) string {
			m := call.FindStringSubmatch(s)
			if m[1] != host {
				return s
			}
			out, _, err := run(nil, "addr2line", "-f", "-e", host, m[2])
			function, _, _ := strings.Cut(out, "\n")
			if err != nil {
				t.Fatal(err)
			}
			return "\t\t" + function
		})
	}
	for _, kind := range []string{"archive", "shared"} {
		for _, flag := range []string{"-pie", "-no-pie", "-fno-asynchronous-unwind-tables"} {
			host := library{"checked", kind}.c(t, "checked.c", flag)
			out, errs, err := run(nil, host)
			leaks := name(out, host)
			for _, function := range []string{"first_leak", "second_leak", "third_leak"} {
				if strings.Count(leaks, "\t\t"+function+"\n") != 1 {
					err = errors.New(function + " is not in the report once")
				}
			}
			if err != nil || !strings.Contains(leaks, "in 3 blocks not freed, allocated at 3 places") {
				t.Errorf("%s, %s: %v\n%s%s", kind, flag, err, leaks, errs)
			}
			_, errs, _ = run(nil, host, "double free")
			if twice := name(errs, host); strings.Count(twice, "\t\tfree_twice\n") != 3 {
				t.Errorf("%s, %s, double free:\n%s", kind, flag, twice)
			}
		}
	}
}
