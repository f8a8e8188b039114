//go:build cgo && unix && !race

// The tests build the libraries, as users do, and programs in C and Rust that use them. The race
// detector would find nothing, since the programs that the tests start are built without it.

package capi_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/galloc-go/galloc/heap" // which the libraries contain: see readAll
)

// dir is where everything is built.
var dir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if dir, err = os.MkdirTemp("", "capi"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		return m.Run()
	}())
}

// need skips a test without the tools that it runs. With GALLOC_REQUIRE=1 that is a failure.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("GALLOC_REQUIRE") == "1" {
			t.Fatalf("there is no %s here, and GALLOC_REQUIRE=1", tool)
		}
		t.Skipf("there is no %s here", tool)
	}
}

// run runs a command and returns its output. No process lives longer than two minutes: a hang is
// one of the failures that these tests look for.
func run(env []string, name string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second // for children of a killed process that hang
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("killed, since it hangs: %w", err)
	}
	return out.String(), errs.String(), err
}

// readAll reads all files here. go test keeps results until an imported package changes, or a file
// that a test has read itself; files that only compilers read do not count.
var readAll = sync.OnceValue(func() error {
	return filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			_, err = os.ReadFile(path)
		}
		return err
	})
})

// A build makes a file in dir once.
type build struct {
	once sync.Once
	err  error
}

var builds sync.Map // from names of files to *build

// file returns the path of a file in dir, after making it by a command. The argument after "-o" is
// replaced by the path.
func file(t *testing.T, name string, env []string, command ...string) string {
	t.Helper()
	if err := readAll(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	v, _ := builds.LoadOrStore(name, new(build))
	b := v.(*build)
	b.once.Do(func() {
		for i, arg := range command {
			if arg == "-o" {
				command[i+1] = path
			}
		}
		if _, errs, err := run(env, command[0], command[1:]...); err != nil {
			b.err = fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, errs)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return path
}

// A library is one of the tested libraries, in one of the two forms.
type library struct {
	name string // galloc, or a folder in testdata
	kind string // archive or shared
}

var libraries = []library{{"galloc", "archive"}, {"galloc", "shared"}}

func (l library) String() string { return l.name + ", " + l.kind }

func (l library) file() string {
	return "lib" + l.name + map[string]string{"archive": ".a", "shared": ".so"}[l.kind]
}

// folder returns the folder of the library, which holds no other form of it that the linker could
// take.
func (l library) folder() string { return filepath.Join(dir, l.kind) }

func (l library) build(t *testing.T) string {
	t.Helper()
	need(t, "go", "gcc")
	pkg := "./libgalloc"
	if l.name != "galloc" {
		pkg = "./testdata/" + l.name
	}
	return file(t, filepath.Join(l.kind, l.file()), nil, "go", "build", "-buildmode=c-"+l.kind, "-o", "", pkg)
}

// c builds a host in C.
func (l library) c(t *testing.T, source string, flags ...string) string {
	t.Helper()
	command := []string{
		"gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g",
		"-o", "", filepath.Join("testdata", source), l.build(t), "-Wl,-rpath," + l.folder(), "-lpthread",
	}
	return file(t, source+"-"+l.name+"-"+l.kind+strings.Join(flags, ""), nil, append(command, flags...)...)
}

// rust builds a program in Rust, with the crate.
func (l library) rust(t *testing.T, source string) string {
	t.Helper()
	need(t, "rustc")
	crate := file(t, "libgalloc.rlib", nil, "rustc", "--edition=2021", "--crate-type=rlib", "--crate-name=galloc", "-Dwarnings", "-o", "", "rust/src/lib.rs")
	l.build(t)
	kind := map[string]string{"archive": "static", "shared": "dylib"}[l.kind]
	return file(t, source+"-"+l.name+"-"+l.kind, nil, "rustc", "--edition=2021", "-Dwarnings", "--extern", "galloc="+crate,
		"-L", "native="+l.folder(), "-l", kind+"="+l.name, "-C", "link-arg=-Wl,-rpath,"+l.folder(), "-o", "", filepath.Join("testdata", source))
}

// cases runs cases of a host, each in a separate process.
func cases(t *testing.T, env []string, host string, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if out, errs, err := run(env, host, name); err != nil || out != "ok\n" {
				t.Fatalf("%v, %q\n%s", err, out, errs)
			}
		})
	}
}
