//go:build cgo && linux && !race

package rust

import (
	"os"
	"path/filepath"
	"testing"

	_ "github.com/galloc-go/galloc/capi"     // as collections in programs_test.go
	_ "github.com/galloc-go/galloc/jemalloc" // the same
)

// foo allocates from jemalloc, be it written in Go or in Rust. The host is the same in C.
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

// One program in Rust runs on the five functions, be they written in Go or in Rust, without being linked anew.
func TestFiveFunctions(t *testing.T) {
	need(t, "go", "gcc", "rustc")
	libs := map[string]string{
		"Go":   build(t, nil, "go", "build", "-buildmode=c-shared", "-o", "libmy_allocator.so", "./five"),
		"Rust": build(t, nil, "rustc", "--edition=2021", "-Dwarnings", "--crate-type=cdylib", "-o", "libmy_allocator.so", "five/my_allocator.rs"),
	}
	program := build(t, nil, "rustc", "--edition=2021", "-Dwarnings", "-L", "native="+filepath.Dir(libs["Rust"]), "-o", "program", "five/main.rs")
	for language, lib := range libs {
		t.Run(language, func(t *testing.T) {
			printed(t, run([]string{"LD_LIBRARY_PATH=" + filepath.Dir(lib)}, program), "", golden(t, "five"))
		})
	}
}
