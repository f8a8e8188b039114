package galloc_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

func init() {
	overflow := func(a galloc.GlobalAlloc) {
		if a != nil {
			galloc.RegisterGlobal(a)
		}
		fmt.Println(galloc.GlobalName())
		l := galloc.LayoutOf[[3]int64]()
		p := galloc.Alloc(l)
		if os.Getenv("GALLOC_TEST_RIGHT") == "" {
			*(*byte)(unsafe.Add(p, 24)) = 1
		}
		galloc.Dealloc(p, l)
	}
	children["overflow of the default"] = func() { overflow(nil) }
	children["overflow of one registered"] = func() { overflow(galloc.System) }
	for name, mistake := range mistakesOfSize0 {
		children[name] = func() {
			l := galloc.LayoutOf[[3]int64]()
			mistake(galloc.Alloc(l), l)
			fmt.Println("not found")
		}
	}
	children["contract with GALLOC=debug"] = func() {
		testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "Contract", F: func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return galloc.Global }, alloctest.GoGarbage)
		}}}, nil, nil)
	}
}

// mistakesOfSize0 is mistakes with a block that the functions of this package could do without asking the allocator, and one with Resize.
var mistakesOfSize0 = map[string]func(p unsafe.Pointer, l galloc.Layout){
	"free as size 0":      func(p unsafe.Pointer, _ galloc.Layout) { galloc.Dealloc(p, galloc.LayoutOf[[0]int64]()) },
	"realloc as size 0":   func(p unsafe.Pointer, _ galloc.Layout) { galloc.Realloc(p, galloc.LayoutOf[[0]int64](), 24) },
	"resize as too large": func(p unsafe.Pointer, l galloc.Layout) { galloc.GlobalResize(p, galloc.LayoutOf[[4]int64](), 24) },
	"double free as size 0": func(p unsafe.Pointer, l galloc.Layout) {
		galloc.Dealloc(p, l)
		galloc.Dealloc(p, galloc.LayoutOf[[0]int64]())
	},
}

func TestGallocDebugIsAskedAboutSize0(t *testing.T) {
	for name := range mistakesOfSize0 {
		for _, env := range []string{"GALLOC=debug", "GALLOC=debug,sample=1"} {
			if o := runChild(t, name, env); o.err == nil || !strings.Contains(o.stderr, "24-byte block") {
				t.Errorf("%s, %s: %v:\n%s%s", name, env, o.err, o.stdout, o.stderr)
			}
		}
		if o := runChild(t, name); o.err != nil {
			t.Errorf("%s: %v:\n%s", name, o.err, o.stderr)
		}
	}
}

// GALLOC=debug looks after the global allocator, whichever it is, in a program that has not been made for it.
func TestGallocDebug(t *testing.T) {
	for child, name := range map[string]string{"overflow of the default": "debug(galloc heap), the default for ", "overflow of one registered": "debug(galloc.System ("} {
		for env, found := range map[string]bool{"GALLOC=debug": true, "GALLOC=debug,stacks=4,quarantine=1MiB": true, "GALLOC=debug,sample=1000000000": false, "GALLOC=": false} {
			t.Run(child+" "+env, func(t *testing.T) {
				t.Parallel()
				o := runChild(t, child, env)
				if found != (o.err != nil) || found != strings.HasPrefix(o.stderr, "galloc: overflow: 1 byte was written, 0 bytes past the end of the 24-byte block") {
					t.Errorf("it ends with %v:\n%s", o.err, o.stderr)
				}
				if found && strings.Count(o.stderr, "debugging_test.go:") < 2 {
					t.Errorf("no stacks:\n%s", o.stderr)
				}
				if env != "GALLOC=" && (!strings.HasPrefix(o.stdout, name) || !strings.Contains(o.stdout, ", with "+env)) {
					t.Errorf("GlobalName says %s", o.stdout)
				}
				if o := runChild(t, child, env, "GALLOC_TEST_RIGHT=1"); o.err != nil || o.stderr != "" {
					t.Errorf("a right program ends with %v:\n%s", o.err, o.stderr)
				}
			})
		}
	}
	for env, want := range map[string]string{
		"GALLOC=debug,foo=1":  `"foo=1": no such option; known are sample=N`,
		"GALLOC=debug,":       "nothing behind the comma",
		"GALLOC=debug,sample": "want option=value",
	} {
		if o := runChild(t, "overflow of the default", env); o.err == nil || !strings.Contains(o.stderr, want) || !strings.HasPrefix(o.stderr, "galloc: "+env) {
			t.Errorf("%s: %v:\n%s", env, o.err, o.stderr)
		}
	}
	for _, env := range []string{"GALLOC=debug,quarantine=1MiB", "GALLOC=debug,guard=either,guardmax=1000", "GALLOC=debug,sample=5", "GALLOC=debug,sample=4096"} {
		if o := runChild(t, "contract with GALLOC=debug", env); o.err != nil || !strings.Contains(o.stdout, "PASS") {
			t.Errorf("%s: %v:\n%s%s", env, o.err, o.stdout, o.stderr)
		}
	}
}
