package tracestat

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/trace"
)

// list is a trace in memory.
type list []trace.Op

func (l *list) Next() (trace.Op, error) {
	if len(*l) == 0 {
		return trace.Op{}, io.EOF
	}
	op := (*l)[0]
	*l = (*l)[1:]
	return op, nil
}

func read(t *testing.T, l list) *Stats {
	t.Helper()
	s, err := Read(&l, func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSmall(t *testing.T) {
	got := read(t, list{
		{Kind: trace.Malloc, ID: 1, Size: 24},
		{Kind: trace.Calloc, ID: 2, Size: 0},
		{Kind: trace.Aligned, Thread: 1, ID: 3, Size: 64, Align: 64},
		{Kind: trace.Realloc, Thread: 1, ID: 4, Old: 1, Size: 31},
		{Kind: trace.Realloc, ID: 5, Old: 4, Size: 7},
		{Kind: trace.Realloc, ID: 6, Old: 5, Size: 7},
		{Kind: trace.Realloc, ID: 7, Size: 5},
		{Kind: trace.Free, ID: 3},
	})
	want := &Stats{
		Events: 8, Mallocs: 1, Callocs: 1, Aligned: 1, Reallocs: 4, Frees: 1,
		ReallocGrown: 1, ReallocShrunk: 1, ReallocNew: 1,
		Objects: 7, TotalBytes: 138, MaxSize: 64, PeakObjects: 4, PeakBytes: 95, PeakEvent: 4, EndObjects: 3, EndBytes: 12,
		Sizes:     []Bucket{{1, 0}, {}, {}, {3, 19}, {}, {2, 55}, {}, {1, 64}},
		Lifetimes: []Bucket{{}, {2, 38}, {1, 24}, {1, 64}},
		Threads:   []Thread{{6, 5, 3, 2}, {2, 2, 1, 1}},
		Live:      []uint64{24, 24, 88, 95, 71, 71, 76, 12}, Step: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the statistics are\n%+v, want\n%+v", got, want)
	}
	if got := read(t, nil); got.Events != 0 || got.Live != nil {
		t.Errorf("of no events: %+v", got)
	}
}

// On random traces the equations hold, and the curve has the greatest value of each step.
func TestRandom(t *testing.T) {
	for _, n := range []int{maxPoints - 1, maxPoints, maxPoints + 1, 10 * maxPoints, 20011} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		var ops list
		var live []trace.Op
		var curve []uint64
		var bytes uint64
		for id := uint64(1); len(ops) < n; {
			if len(live) > 0 && r.IntN(100) < 45 {
				i := r.IntN(len(live))
				ops = append(ops, trace.Op{Kind: trace.Free, ID: live[i].ID})
				bytes -= live[i].Size
				live = slices.Delete(live, i, i+1)
			} else {
				op := trace.Op{Kind: trace.Malloc, ID: id, Size: r.Uint64N(1 << r.IntN(20))}
				id++
				ops, live = append(ops, op), append(live, op)
				bytes += op.Size
			}
			curve = append(curve, bytes)
		}
		s := read(t, ops)
		objects, ended := 0, 0
		for _, b := range s.Sizes {
			objects += b.Objects
		}
		for _, b := range s.Lifetimes {
			ended += b.Objects
		}
		if s.Events != n || s.Objects != objects || s.Objects != ended+s.EndObjects || s.EndBytes != bytes ||
			s.PeakBytes != slices.Max(curve) || curve[s.PeakEvent-1] != s.PeakBytes {
			t.Errorf("%d events: %+v", n, s)
		}
		if len(s.Live) > maxPoints || len(s.Live) != (n+s.Step-1)/s.Step || n > maxPoints && len(s.Live) < maxPoints/2 {
			t.Errorf("%d events: %d points of %d", n, len(s.Live), s.Step)
		}
		for i, v := range s.Live {
			if want := slices.Max(curve[i*s.Step : min((i+1)*s.Step, n)]); v != want {
				t.Errorf("%d events: point %d is %d, not %d", n, i, v, want)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	stop := errors.New("stop")
	if _, err := Read(&list{{Kind: trace.Malloc, ID: 1}}, func(int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error is %v", err)
	}
	r, err := trace.NewReader(strings.NewReader("# malloctrace 1\nm 0 1 24\nf 0 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	var place *trace.Error
	if _, err := Read(r, func(int) error { return nil }); !errors.As(err, &place) || place.Line != 3 {
		t.Errorf("the error is %v", err)
	}
	huge := list{{Kind: trace.Malloc, ID: 1, Size: math.MaxInt64}, {Kind: trace.Malloc, ID: 2, Size: math.MaxInt64}}
	if s, err := Read(&huge, func(int) error { return nil }); err == nil {
		t.Errorf("sizes that overflow: %+v", s)
	}
}

// The bytes of all objects may have more than 64 bits, if they are not in use at the same time.
func TestManyBytes(t *testing.T) {
	var ops list
	for id := uint64(1); id <= 4; id++ {
		ops = append(ops, trace.Op{Kind: trace.Malloc, ID: id, Size: math.MaxInt64}, trace.Op{Kind: trace.Free, ID: id})
	}
	s := read(t, ops)
	if s.TotalBytes != math.MaxUint64 || s.Sizes[63] != (Bucket{4, math.MaxUint64}) || s.PeakBytes != math.MaxInt64 {
		t.Errorf("the statistics are %+v", s)
	}
}

func TestRange(t *testing.T) {
	for i, want := range map[int][2]uint64{0: {0, 0}, 1: {1, 1}, 2: {2, 3}, 5: {16, 31}, 64: {1 << 63, math.MaxUint64}} {
		if low, high := Range(i); low != want[0] || high != want[1] {
			t.Errorf("bucket %d has %d to %d", i, low, high)
		}
	}
}
