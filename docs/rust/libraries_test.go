//go:build cgo && linux && !race

package rust

import (
	"os"
	"path/filepath"
	"testing"

	_ "github.com/galloc-go/galloc/capi"     // see collections in programs_test.go
	_ "github.com/galloc-go/galloc/jemalloc" // the same
)

// foo, in Go or in Rust, allocates from jemalloc. Both have the same host in C.
func TestLibrariesWithJemalloc(t *testing.T) {
	need(t, "go", "gcc")
	header := filepath.Join(t.TempDir(), "header.c")
	if err := os.WriteFile(header, []byte("#include <jemalloc/jemalloc.h>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := run(nil, "gcc", "-E", "-o", os.DevNull, header); o.err != nil {
		if os.Getenv("GALLOC_REQUIRE") == "1" {
			t.Fatalf("jemalloc's headers are not installed, and GALLOC_REQUIRE=1\n%s", o.stderr)
		}
		t.Skip("jemalloc's headers are not installed (Debian: libjemalloc-dev)")
	}
	try := func(t *testing.T, lib string) {
		dir := filepath.Dir(lib)
		host := build(t, nil, "gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", "host", "jemalloc/host.c", "-L"+dir, "-Wl,-rpath,"+dir, "-lfoo", "-ldl")
		printed(t, run(nil, host), "", golden(t, "jemalloc"))
	}
	t.Run("Go", func(t *testing.T) {
		try(t, build(t, nil, "go", "build", "-tags", "galloc_jemalloc", "-buildmode=c-shared", "-o", "libfoo.so", "./jemalloc"))
	})
	t.Run("Rust", func(t *testing.T) {
		need(t, "rustc")
		try(t, build(t, nil, "rustc", "--edition=2021", "-Dwarnings", "--crate-type=cdylib", "--crate-name=foo", "-o", "libfoo.so", "jemalloc/lib.rs"))
	})
}

// One program in Rust, and one in C, run on the five functions in Go and in Rust, without being
// linked again.
func TestFiveFunctions(t *testing.T) {
	need(t, "go", "gcc")
	inGo := filepath.Dir(build(t, nil, "go", "build", "-buildmode=c-shared", "-o", "libmy_allocator.so", "./five"))
	inC := build(t, nil, "gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", "program", "five/host.c", "-L"+inGo, "-lmy_allocator")
	try := func(name, program, dir string) {
		t.Run(name, func(t *testing.T) {
			printed(t, run([]string{"LD_LIBRARY_PATH=" + dir}, program), "", golden(t, "five"))
		})
	}
	try("C on Go", inC, inGo)

	need(t, "rustc")
	inRust := filepath.Dir(build(t, nil, "rustc", "--edition=2021", "-Dwarnings", "--crate-type=cdylib", "-o", "libmy_allocator.so", "five/my_allocator.rs"))
	rust := build(t, nil, "rustc", "--edition=2021", "-Dwarnings", "-L", "native="+inRust, "-o", "program", "five/main.rs")
	try("C on Rust", inC, inRust)
	try("Rust on Go", rust, inGo)
	try("Rust on Rust", rust, inRust)
}
