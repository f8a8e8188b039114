package collections

import (
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/memcheck"
)

// A memory checker of the global allocator reports the use of a value that was freed, by any copy.
func TestUsesOfFreedValues(t *testing.T) {
	reports := 0
	d := memcheck.New(galloc.System, memcheck.Options{OnMisuse: func(r *memcheck.Report) {
		if r.Kind != memcheck.UseAfterFree {
			t.Error(r)
		}
		reports++
	}})
	c, _ := d.MemoryChecker()
	watch()
	defer useChecker.Store(useChecker.Load())
	useChecker.Store(c)

	p := galloc.Must(NewPtr(d, 1))
	s := galloc.Must(NewSlice(d, []int{1, 2}))
	var r Array[int]
	r.Push(d, 1)
	use := func(p Ptr[int], s Slice[int], r Array[int]) {
		p.Get()
		s.Slice()
		_ = r.Len() != 0 && r.At(0) == 0
	}
	oldP, oldS, oldR := p, s, r
	if use(p, s, r); reports != 0 {
		t.Errorf("%d reports of valid uses", reports)
	}
	r.Append(d, 1, 2, 3, 4, 5, 6) // moves the elements
	if use(p, s, oldR); reports != 1 {
		t.Errorf("%d reports of a copy of an Array that has grown", reports)
	}
	p.Free(d)
	s.Free(d)
	if use(oldP, oldS, r); reports != 3 {
		t.Errorf("%d reports of a Ptr and a Slice that were freed", reports)
	}
	r.Free(d)
	if use(p, s, r); reports != 3 {
		t.Errorf("%d reports of zero values", reports)
	}

	reports = 0
	str, rc, arc := galloc.Must(NewString(d, "text")), galloc.Must(NewRc(d, 1)), galloc.Must(NewArc(d, 1))
	read := func(str String, rc Rc[int], arc Arc[int]) {
		_ = str.View()
		rc.Get()
		arc.Get()
	}
	oldStr, oldRc, oldArc := str, rc, arc
	if read(str, rc, arc); reports != 0 {
		t.Errorf("%d reports of valid uses of a String, an Rc and an Arc", reports)
	}
	str.Free(d)
	rc.Free(d)
	arc.Free(d)
	if read(oldStr, oldRc, oldArc); reports != 3 || str.View() != "" {
		t.Errorf("%d reports of a String, an Rc and an Arc that were freed", reports)
	}
}
