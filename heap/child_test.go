package heap_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
)

// Child processes test what happens once per program or ends it, and what is measured of a process:
// the test binary runs itself with the name of a child in the environment.

const childVar = "GALLOC_TEST_CHILD"

var children = map[string]func(){}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVar); name != "" {
		child, ok := children[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "no child %q\n", name)
			os.Exit(99)
		}
		child()
		if registered == nil {
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// registered is the heap that is the global allocator in a child that runs tests with one.
var registered *heap.Heap

// outcome is what a child process printed and how it ended.
type outcome struct {
	stdout, stderr string
	err            error // nil if it exited with 0
}

func runChild(t *testing.T, name string, args ...string) outcome {
	t.Helper()
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childVar+"="+name)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return outcome{stdout.String(), stderr.String(), err}
}

// mustPass fails the test unless the child has exited with 0.
func (o outcome) mustPass(t *testing.T) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("the child ended with %v\n%s%s", o.err, o.stdout, o.stderr)
	}
	t.Log(o.stdout)
}

// die ends a child process as a failure.
func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// open returns a heap that is closed at the end of the test.
func open(t testing.TB, o heap.Options) *heap.Heap {
	t.Helper()
	h, err := heap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func layout(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic(err)
	}
	return l
}

// view returns the n bytes at p.
func view(p unsafe.Pointer, n uintptr) []byte { return unsafe.Slice((*byte)(p), n) }

// remnant returns how many bytes can stay dirty in a heap without blocks: pages that share an OS
// page with pages that were never used.
func remnant(s heap.Stats) uintptr {
	if vm.PageSize() <= 4096 {
		return 0
	}
	return uintptr(s.Extents) * vm.PageSize()
}

// fill writes v to every byte.
func fill(b []byte, v byte) {
	if len(b) > 0 {
		b[0] = v
		for n := 1; n < len(b); n *= 2 {
			copy(b[n:], b[:n])
		}
	}
}

// onlyByte returns the first index where b is not v, or -1.
func onlyByte(b []byte, v byte) int {
	if len(b) == 0 || b[0] == v && bytes.Equal(b[1:], b[:len(b)-1]) {
		return -1
	}
	return slices.IndexFunc(b, func(c byte) bool { return c != v })
}

// mustPanic calls f, which must panic, and returns the value of the panic.
func mustPanic(t *testing.T, f func()) (v any) {
	t.Helper()
	defer func() {
		t.Helper()
		if v = recover(); v == nil {
			t.Error("no panic")
		}
	}()
	f()
	return nil
}
