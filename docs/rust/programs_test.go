// Package rust holds the examples of ../rust.md: each folder is a program in Go and, where it
// compiles, the same program in Rust. The tests run both, and compare their output with the
// folder's output.txt.
package rust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	// The programs import this package: go test runs the tests again when it changes.
	_ "github.com/galloc-go/galloc/collections"
)

// need skips a test without the tools that it runs. With GALLOC_REQUIRE=1 that is a failure, except
// on platforms without processes.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		_, err := exec.LookPath(tool)
		if err == nil {
			continue
		}
		if os.Getenv("GALLOC_REQUIRE") == "1" && runtime.GOOS != "js" && runtime.GOOS != "wasip1" {
			t.Fatalf("there is no %s here, and GALLOC_REQUIRE=1", tool)
		}
		t.Skipf("there is no %s here: %v", tool, err)
	}
}

// An outcome is the output of a process, and how it has ended.
type outcome struct {
	stdout, stderr string
	err            error // nil if it has exited with 0
}

// run runs a command, for at most two minutes, with an environment that selects no allocator.
func run(env []string, name string, args ...string) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(os.Environ(), "GALLOC="), env...)
	if filepath.IsAbs(name) {
		cmd.Dir = filepath.Dir(name) // for a program that was built, and may dump core
	}
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("killed, since it hangs: %w", err)
	}
	return outcome{stdout.String(), stderr.String(), err}
}

// build runs a compiler, whose arguments contain "-o" and a file's name, and returns the path of
// the file, in a new folder.
func build(t *testing.T, env []string, command ...string) string {
	t.Helper()
	i := slices.Index(command, "-o") + 1
	path := filepath.Join(t.TempDir(), command[i])
	command[i] = path
	if o := run(env, command[0], command[1:]...); o.err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), o.err, o.stdout, o.stderr)
	}
	return path
}

// golden returns the expected output of the programs of a folder. It reads all files there: go test
// keeps results until a file that a test has read itself changes; files that only compilers read do
// not count.
func golden(t *testing.T, folder string) (output string) {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() == "output.txt" {
			output = string(text)
		}
	}
	return output
}

// printed checks the output of a program: standard output, followed by the first line of standard
// error if the program had to end with an error.
func printed(t *testing.T, o outcome, ends, want string) {
	t.Helper()
	got, end := o.stdout, "" // the first half of "signal: aborted (core dumped)" is enough
	if o.err != nil {
		end, _, _ = strings.Cut(o.err.Error(), " (")
	}
	if ends != "" {
		got += strings.SplitAfterN(o.stderr, "\n", 2)[0]
	}
	if end != ends {
		t.Errorf("it ended with %q, not %q\n%s", end, ends, o.stderr)
	}
	if got != want {
		t.Errorf("it printed\n%s\nand not\n%s", got, want)
	}
}

// The programs that need nothing but their compilers, and how they end.
var programs = []struct{ folder, ends string }{
	{"myallocator", ""},
	{"system", ""},
	{"counting", ""},
	{"functions", ""},
	{"allocerror", "signal: aborted"},
	{"hook", "exit status 3"},
}

func TestProgramsInGo(t *testing.T) {
	need(t, "go")
	for _, p := range programs {
		t.Run(p.folder, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(p.ends, "signal") {
				t.Skip("there are no signals here")
			}
			program := build(t, nil, "go", "build", "-o", "program.exe", "./"+p.folder)
			printed(t, run(nil, program), p.ends, golden(t, p.folder))
		})
	}
}

func TestProgramsInRust(t *testing.T) {
	need(t, "rustc")
	for _, p := range programs {
		t.Run(p.folder, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(p.ends, "signal") {
				t.Skip("there are no signals here")
			}
			source := filepath.Join(p.folder, "main.rs")
			command := []string{"rustc", "--edition=2021", "-Dwarnings", "-o", "program.exe", source}
			if text, err := os.ReadFile(source); err != nil {
				t.Fatal(err)
			} else if bytes.HasPrefix(text, []byte("#![feature(")) {
				compilesUnstable(t, source)
				program := build(t, []string{"RUSTC_BOOTSTRAP=1"}, command...)
				printed(t, run(nil, program), p.ends, golden(t, p.folder))
				return
			}
			program := build(t, nil, command...)
			printed(t, run(nil, program), p.ends, golden(t, p.folder))
		})
	}
}

// compilesUnstable skips the test if rustc no longer has, or does not have yet, the unstable
// feature as the program uses it. With RUSTC_BOOTSTRAP=1 a compiler of the stable channel accepts
// it too.
func compilesUnstable(t *testing.T, source string) {
	t.Helper()
	o := run([]string{"RUSTC_BOOTSTRAP=1"}, "rustc", "--edition=2021", "--emit=metadata", "-o", filepath.Join(t.TempDir(), "metadata"), source)
	var exit *exec.ExitError
	if errors.As(o.err, &exit) {
		t.Skipf("this rustc does not accept the unstable feature of %s:\n%s", source, o.stderr)
	}
}

// Every folder here is run by some test.
func TestAllFoldersAreTested(t *testing.T) {
	folders, err := filepath.Glob("*/output.txt")
	if err != nil {
		t.Fatal(err)
	}
	tested := []string{"five", "jemalloc"}
	for _, p := range programs {
		tested = append(tested, p.folder)
	}
	slices.Sort(tested)
	for i, f := range folders {
		folders[i] = filepath.Dir(f)
	}
	if !slices.Equal(folders, tested) {
		t.Errorf("the folders are %q, and tested %q", folders, tested)
	}
	all, err := filepath.Glob("*/main.go")
	if err != nil || len(all) != len(folders) {
		t.Errorf("%v: %q, but output.txt in %q", err, all, folders)
	}
}
