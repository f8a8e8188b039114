package workload

import (
	"math"
	"slices"
	"testing"
	"unsafe"
)

// The first numbers of the published generator, for a seed of 1234567.
func TestTheGeneratorIsSplitmix64(t *testing.T) {
	r := rng(1234567)
	for _, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		if got := r.next(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	for _, n := range []uint64{1, 2, 1000, 1<<32 - 1} {
		for range 1000 {
			if got := r.below(n); got >= n {
				t.Fatalf("below(%d) is %d", n, got)
			}
		}
	}
}

func TestLevelsCoverTheSlots(t *testing.T) {
	for _, slots := range []uint64{16, 17, 100, 500, 262_144, maxSlots} {
		l := newLevels(slots)
		var next, below uint64
		for k := range l {
			if l[k].first != next || l[k].count == 0 || l[k].count > slots || l[k].below <= below {
				t.Errorf("%d slots: level %d is %+v", slots, k, l[k])
			}
			if first, last := l.choose(below<<32), l.choose(l[k].below<<32-1); first != next ||
				last != next+l[k].count-1 {
				t.Errorf("%d slots: level %d has slots from %d to %d, want %d and %d more",
					slots, k, first, last, next, l[k].count)
			}
			next, below = next+l[k].count, l[k].below
		}
		if next != slots || below != 1<<32 {
			t.Errorf("%d slots: levels end at %d and %d", slots, next, below)
		}
	}
	if l := newLevels(262_144); l[0].count != 16 || l[6].count != 68_723 || l[0].below != 1_125_899_906 {
		t.Errorf("levels %+v", l)
	}
}

func TestSizesOfGlibcThread(t *testing.T) {
	sizes := glibcSizes(rng(1))
	if least, most := slices.Min(sizes[:]), slices.Max(sizes[:]); least != 4 || most > 32768 || most < 1000 {
		t.Errorf("sizes from %d to %d", least, most)
	}
	small := 0
	for _, s := range sizes {
		if s < 8 {
			small++
		}
	}
	if math.Abs(float64(small)/float64(len(sizes))-0.5) > 0.05 {
		t.Errorf("%d of %d are below 8, want a half", small, len(sizes))
	}
}

func TestThreadsShareNoCacheLine(t *testing.T) {
	var v thread
	if hot := unsafe.Offsetof(v.realloc) + unsafe.Sizeof(v.realloc); unsafe.Sizeof(v) < hot+128 {
		t.Errorf("a thread has %d bytes, of which %d are used", unsafe.Sizeof(v), hot)
	}
}
