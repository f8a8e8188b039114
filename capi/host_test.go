//go:build cgo && unix && !race

package capi_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
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

// A panic of the Go side is a message and SIGABRT: C does not see it, nor unwind.
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
	// Under nohup SIGHUP is ignored, and would be in the hosts. What is caught here has its default there.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for _, l := range libraries {
		t.Run(l.String(), func(t *testing.T) {
			cases(t, nil, l.c(t, "process.c"), "fork without exec", "arena ends", "arena small", "fork then exec", "signal handlers", "crash", "thread exit")
		})
	}
}

func TestEachCallReachesAnAllocatorOfTheUserOnce(t *testing.T) {
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

// Of Rust's tests of 2015: binaries get the good allocator, and libraries that of the system.
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

// Of Rust's tests of 2015: cannot link together two allocators. Here it is when they are loaded that it shows.
func TestTwoAllocatorsInOneLibraryCannotBe(t *testing.T) {
	for _, kind := range []string{"archive", "shared"} {
		out, errs, err := run(nil, library{"twice", kind}.c(t, "functions.c"), "name")
		if err == nil || !strings.HasPrefix(errs, "panic: galloc: RegisterGlobal at ") ||
			!strings.Contains(errs, "main.go:14; a global allocator is already registered at ") || !strings.Contains(errs, "main.go:12\n") {
			t.Errorf("%s: %v, %q\n%s", kind, err, out, errs)
		}
	}
}

// What make capi installs is enough to build a host, with the flags of galloc.pc and in the ways that it tells.
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
				return strings.Fields(strings.NewReplacer("${includedir}", prefix+"/include", "${libdir}", prefix+"/lib").Replace(value))
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
		// -trimpath: a library that is installed names no folder of whoever has built it.
		if out, errs, err := run(nil, host); err != nil || !strings.HasPrefix(out, "galloc heap, registered at github.com/galloc-go/galloc/capi/") {
			t.Errorf("%s: %v, %q\n%s", name, err, out, errs)
		}
	}
	if _, errs, err := run(nil, "sh", "install.sh", "relative/path"); err == nil || !strings.Contains(errs, "not an absolute path") {
		t.Errorf("a relative path: %v\n%s", err, errs)
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
