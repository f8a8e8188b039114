package engine

import (
	"fmt"
	"strings"
	"testing"
)

// Every size with every alignment has a class that is large enough, aligned, and not much larger than need be.
func TestClassOfEverySize(t *testing.T) {
	for align := uintptr(1); align <= 2*pageSize; align *= 2 {
		last := uint8(0)
		for size := uintptr(1); size <= smallMax+1; size++ {
			rounded := (size + align - 1) &^ (align - 1)
			c := ClassOf(size, align)
			usable := UsableSize(size, align)
			if rounded > smallMax || align > pageSize {
				if c != 0 || usable < size || usable >= size+pageSize {
					t.Fatalf("size %d, align %d: class %d, usable %d", size, align, c, usable)
				}
				continue
			}
			k := &classes[c]
			if c == 0 || c >= numClasses || c < last || uintptr(k.size) != usable {
				t.Fatalf("size %d, align %d: class %d after %d, %d bytes, usable %d", size, align, c, last, k.size, usable)
			}
			last = c
			if usable < rounded || usable%align != 0 {
				t.Fatalf("size %d, align %d: %d bytes", size, align, usable)
			}
			// The steps are an eighth of the size, a quarter above 8 KiB, and 8 bytes at least.
			waste := max(8, rounded/8)
			if rounded > 8<<10 {
				waste = rounded / 4
			}
			if usable-rounded >= waste {
				t.Fatalf("size %d, align %d: %d bytes, and %d of them wasted", size, align, usable, usable-rounded)
			}
			if c > 1 && uintptr(classes[c-1].size) >= rounded && uintptr(classes[c-1].size)%align == 0 {
				t.Fatalf("size %d, align %d: class %d, but %d would do", size, align, c, c-1)
			}
			if UsableSize(usable, align) != usable || ClassOf(usable, align) != c || ClassOf(usable, 1) != c {
				t.Fatalf("size %d, align %d: a block of %d bytes is of class %d, not %d", size, align, usable, ClassOf(usable, align), c)
			}
		}
	}
	if c := ClassOf(0, 1); c != 0 {
		t.Errorf("size 0: class %d", c)
	}
	const maxInt = uintptr(^uint(0) >> 1)
	for _, size := range []uintptr{smallMax + 1, 1 << 20, 1 << 30, maxInt/2 + 1, maxInt} {
		if c := ClassOf(size, 1); c != 0 {
			t.Errorf("size %d: class %d", size, c)
		}
	}
}

// The multiplication that stands for a division is exact at every offset in every span.
func TestReciprocals(t *testing.T) {
	for c := 1; c < numClasses; c++ {
		k := &classes[c]
		size := uint64(k.size)
		q, rest := uint64(0), uint64(0) // off/size, off%size
		for off := uint64(0); off < uint64(max(k.pages, k.morePages))*pageSize; off++ {
			if got := off * uint64(k.recip) >> 32; got != q {
				t.Fatalf("class %d: %d*recip>>32 == %d, want %d/%d == %d", c, off, got, off, size, q)
			}
			if rest++; rest == size {
				q, rest = q+1, 0
			}
		}
	}
}

// Records have room for the bitmaps, slots of the magazines do not meet, and below each is one that stays 0.
func TestClassesFit(t *testing.T) {
	owner := make([]int, numSlots)
	for c := 1; c < numClasses; c++ {
		k := &classes[c]
		for _, n := range []struct {
			pages uint16
			units uint8
		}{{k.pages, k.units}, {k.morePages, k.moreUnits}} {
			blocks := uintptr(n.pages) * pageSize / uintptr(k.size)
			if need := recordHeader + (blocks+63)/64*8; blocks < 1 || need > uintptr(n.units)*unitSize || n.units > maxUnits {
				t.Errorf("class %d: %d blocks in %d units, which must hold %d bytes", c, blocks, n.units, need)
			}
			if tail := uintptr(n.pages)*pageSize - blocks*uintptr(k.size); tail*tailPart > uintptr(n.pages)*pageSize {
				t.Errorf("class %d: of %d pages %d bytes are left over", c, n.pages, tail)
			}
			if (blocks+63)/64 > maxWords || blocks*8 > 1<<16-1 {
				t.Errorf("class %d: %d blocks", c, blocks)
			}
		}
		if k.wide < k.most || k.wide > roomSlots || k.most < 2 || k.most > magazineSlots || k.slots < 1 || int(k.slots)+int(k.most) > numSlots {
			t.Errorf("class %d: %d slots from %d on", c, k.most, k.slots)
			continue
		}
		for i := k.slots - 1; i < k.slots+k.most; i++ {
			if owner[i] != 0 {
				t.Errorf("slot %d is of class %d and of class %d", i, owner[i], c)
			}
			owner[i] = c
		}
	}
	if owner[classes[0].slots-1] != 0 {
		t.Errorf("the slot below class 0 is of class %d", owner[classes[0].slots-1])
	}
}

// The table, to be read.
func TestClassTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("class   size | first spans: bytes blocks left over | later spans: bytes blocks left over | magazine, in a room | worst waste\n")
	for c := 1; c < numClasses; c++ {
		k := &classes[c]
		size := int(k.size)
		below := 0
		if c > 1 {
			below = int(classes[c-1].size)
		}
		span := func(pages uint16) string {
			bytes := int(pages) * pageSize
			return fmt.Sprintf("%6d %6d %9d", bytes, bytes/size, bytes%size)
		}
		fmt.Fprintf(&b, "%5d %6d | %12s%s | %12s%s | %8d %10d | %10.1f%%\n", c, size, "", span(k.pages), "", span(k.morePages), k.most, k.wide,
			100*float64(size-below-1)/float64(size))
	}
	golden(t, "classes.golden", b.String())
}
