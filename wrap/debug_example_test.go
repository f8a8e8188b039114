package wrap_test

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

// What is wrong with this program is found when the block is freed. Without OnMistake, the report with all stacks would be on
// standard error, and the program at its end.
func ExampleDebug() {
	d := wrap.Debug(galloc.System, wrap.OnMistake(func(r *wrap.Report) {
		fmt.Printf("%s: %s a block of %d bytes\n", r.Kind, r.Distance(), r.Block.Size)
		for _, f := range r.Block.AllocStack.Frames()[:1] {
			fmt.Println("allocated in", f.Function)
		}
	}))
	s := galloc.Must(galloc.MakeSlice[byte](d, 24))
	*(*byte)(unsafe.Add(unsafe.Pointer(&s[0]), 24)) = 'x'
	galloc.FreeSlice(d, s)
	// Output:
	// overflow: 0 bytes past the end of a block of 24 bytes
	// allocated in github.com/galloc-go/galloc/wrap_test.ExampleDebug
}

// A test that does not give back what it takes fails, with the places of allocation.
func ExampleDebugging() {
	var t printing
	d := wrap.Debug(galloc.System, wrap.Stacks(0), wrap.Quarantine(1<<20), wrap.RedZone(64))
	d.CheckLeaks(&t)
	_ = galloc.Must(galloc.New[int64](d))
	galloc.Free(d, galloc.Must(galloc.New[int32](d)))
	t.end()
	// Output:
	// galloc: 8 bytes in 1 block allocated at 1 place are not freed
	// 8 bytes in 1 block, from allocation 1 on, without a stack
}

// Reading behind a block is found where behind it is nothing.
func ExampleGuard() {
	d := wrap.Debug(galloc.System, wrap.Guard(wrap.AtEnd, 1, 1<<20), wrap.GuardGap(1<<16), wrap.GuardLimit(100),
		wrap.OnMistake(func(r *wrap.Report) { fmt.Println(r.Kind, "found at", r.Op) }))
	p := d.Alloc(galloc.LayoutOf[int64]())
	d.Dealloc(p, galloc.LayoutOf[int32]())
	d.Dealloc(p, galloc.LayoutOf[int64]())
	func() {
		defer func() { _ = recover() }() // the panic goes on behind Faults
		defer d.Faults()()
		// *(*int64)(p) = 1 would be a "use after free found at access"
	}()
	// Output:
	// wrong layout found at free
}

// In production: one allocation in 100,000 is looked after.
func ExampleSample() {
	d := wrap.Debug(nil, wrap.Sample(100_000))
	defer func() { fmt.Println(d.Mistakes(), "mistakes found") }()
	p := d.Alloc(galloc.LayoutOf[int64]())
	d.Dealloc(p, galloc.LayoutOf[int64]())
	// Output: 0 mistakes found
}

// What a program has in main for whenever it is run with GALLOC=debug. Otherwise this does nothing.
func ExampleGlobalChecks() {
	defer wrap.GlobalChecks().ReportLeaks(os.Stderr)
	defer wrap.GlobalChecks().Faults()()

	p := galloc.Alloc(galloc.LayoutOf[int64]())
	galloc.Dealloc(p, galloc.LayoutOf[int64]())
	fmt.Println(wrap.GlobalChecks().Mistakes(), "mistakes found")
	// Output: 0 mistakes found
}

// printing stands for a testing.T here.
type printing struct{ end func() }

func (*printing) Helper()                           {}
func (*printing) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (t *printing) Cleanup(f func())                { t.end = f }
