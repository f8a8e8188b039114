package galloc_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/internal/percpu"
)

func init() {
	overflow := func(a galloc.GlobalAlloc) {
		if a != nil {
			galloc.RegisterGlobal(a)
		}
		fmt.Println(galloc.DescribeGlobal())
		l := galloc.LayoutOf[[3]int64]()
		p := galloc.Alloc(l)
		if os.Getenv("GALLOC_TEST_CORRECT") == "" {
			*(*byte)(unsafe.Add(p, 24)) = 1
		}
		galloc.Dealloc(p, l)
	}
	children["overflow of the default"] = func() { overflow(nil) }
	children["overflow of one registered"] = func() { overflow(galloc.System) }
	for name, do := range misusesOfSize0 {
		children[name] = func() {
			l := galloc.LayoutOf[[3]int64]()
			do(galloc.Alloc(l), l)
			fmt.Println("not found")
		}
	}
	children["contract with GALLOC=debug"] = func() {
		contract := func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return galloc.Global }, alloctest.GoGarbage)
		}
		all := func(_, _ string) (bool, error) { return true, nil }
		testing.Main(all, []testing.InternalTest{{Name: "Contract", F: contract}}, nil, nil)
	}
}

// misusesOfSize0 is misuse that the functions of this package could treat without calling the
// allocator, and one of Global.Resize.
var misusesOfSize0 = map[string]func(p unsafe.Pointer, l galloc.Layout){
	"free as size 0": func(p unsafe.Pointer, _ galloc.Layout) {
		galloc.Dealloc(p, galloc.LayoutOf[[0]int64]())
	},
	"realloc as size 0": func(p unsafe.Pointer, _ galloc.Layout) {
		galloc.Realloc(p, galloc.LayoutOf[[0]int64](), 24)
	},
	"resize as too large": func(p unsafe.Pointer, _ galloc.Layout) {
		galloc.Global.Resize(p, galloc.LayoutOf[[4]int64](), 24)
	},
	"double free as size 0": func(p unsafe.Pointer, l galloc.Layout) {
		galloc.Dealloc(p, l)
		galloc.Dealloc(p, galloc.LayoutOf[[0]int64]())
	},
}

func TestGallocDebugChecksSize0(t *testing.T) {
	for name := range misusesOfSize0 {
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

// GALLOC=debug checks any global allocator, in a program that was not changed for it.
func TestGallocDebug(t *testing.T) {
	const report = "galloc: overflow: 1 byte was written, 0 bytes past the end of the 24-byte block"
	names := map[string]string{
		"overflow of the default":    "memcheck(galloc heap), the default for ",
		"overflow of one registered": "memcheck(galloc.System (",
	}
	envs := map[string]bool{
		"GALLOC=debug": true, "GALLOC=debug,stackdepth=4,quarantine=1MiB": true,
		"GALLOC=debug,sample=1000000000": false, "GALLOC=": false,
	}
	for child, name := range names {
		for env, found := range envs {
			t.Run(child+" "+env, func(t *testing.T) {
				t.Parallel()
				o := runChild(t, child, env)
				if found != (o.err != nil) || found != strings.HasPrefix(o.stderr, report) {
					t.Errorf("it ends with %v:\n%s", o.err, o.stderr)
				}
				if found && strings.Count(o.stderr, "memcheck_test.go:") < 2 {
					t.Errorf("no stacks:\n%s", o.stderr)
				}
				named := strings.HasPrefix(o.stdout, name) && strings.Contains(o.stdout, ", with "+env)
				if env != "GALLOC=" && !named {
					t.Errorf("DescribeGlobal says %s", o.stdout)
				}
				if o := runChild(t, child, env, "GALLOC_TEST_CORRECT=1"); o.err != nil || o.stderr != "" {
					t.Errorf("a correct program ends with %v:\n%s", o.err, o.stderr)
				}
			})
		}
	}
	for env, want := range map[string]string{
		"GALLOC=debug,foo=1":  `option "foo" is unknown: known are sample=N`,
		"GALLOC=debug,":       "no option after the comma",
		"GALLOC=debug,sample": "has no value: write it as sample=N",
	} {
		o := runChild(t, "overflow of the default", env)
		if o.err == nil || !strings.Contains(o.stderr, want) || !strings.HasPrefix(o.stderr, "galloc: "+env) {
			t.Errorf("%s: %v:\n%s", env, o.err, o.stderr)
		}
	}
	for i, options := range []string{"quarantine=1MiB", "guard=either,guardmax=1000", "sample=5", "sample=4096"} {
		if i > 0 && percpu.Race && testing.Short() {
			break // the tests of memcheck have the others
		}
		t.Run("contract "+options, func(t *testing.T) {
			t.Parallel()
			env := "GALLOC=debug," + options
			if o := runChild(t, "contract with GALLOC=debug", env); o.err != nil || !strings.Contains(o.stdout, "PASS") {
				t.Errorf("%v:\n%s%s", o.err, o.stdout, o.stderr)
			}
		})
	}
}
