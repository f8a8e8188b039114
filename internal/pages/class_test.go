package pages

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Every size with every alignment has a class that is large enough, aligned, and not much too
// large.
func TestClassOfEverySize(t *testing.T) {
	for align := uintptr(1); align <= 2*PageSize; align *= 2 {
		last := uint8(0)
		for size := uintptr(1); size <= MaxMedium+1; size++ {
			if size > MaxSmall+1 && size < MaxMedium && size%PageSize > 1 {
				continue // as its neighbours
			}
			rounded := (size + align - 1) &^ (align - 1)
			c := ClassOf(size, align)
			usable := UsableSize(size, align)
			if rounded > MaxMedium || align > PageSize {
				if c != 0 || usable < size || usable >= size+max(PageSize, size/8) {
					t.Fatalf("size %d, align %d: class %d, usable %d", size, align, c, usable)
				}
				continue
			}
			k := &Classes[c]
			if c == 0 || c >= NumClasses || c < last || uintptr(k.Size) != usable {
				t.Fatalf("size %d, align %d: class %d after %d, %d bytes, usable %d", size, align, c, last, k.Size,
					usable)
			}
			last = c
			if usable < rounded || usable%align != 0 {
				t.Fatalf("size %d, align %d: %d bytes", size, align, usable)
			}
			// Steps are an eighth of the size, a quarter from 8 to 32 KiB, and 8 bytes at least.
			waste := max(8, rounded/8)
			if 8<<10 < rounded && rounded <= MaxSmall {
				waste = rounded / 4
			}
			if n := uintptr(k.Pages); IsMedium(c) != (rounded > MaxSmall) || IsMedium(c) == IsSmall(c) ||
				IsMedium(c) && (n != CountFor(size) || MediumClass(n) != c) {
				t.Fatalf("size %d, align %d: class %d of %d pages", size, align, c, n)
			}
			if usable-rounded >= waste {
				t.Fatalf("size %d, align %d: %d bytes, and %d of them wasted", size, align, usable, usable-rounded)
			}
			if c > 1 && uintptr(Classes[c-1].Size) >= rounded && uintptr(Classes[c-1].Size)%align == 0 {
				t.Fatalf("size %d, align %d: class %d, but %d would do", size, align, c, c-1)
			}
			if UsableSize(usable, align) != usable || ClassOf(usable, align) != c || ClassOf(usable, 1) != c {
				t.Fatalf("size %d, align %d: a block of %d bytes is of class %d, not %d", size, align, usable,
					ClassOf(usable, align), c)
			}
		}
	}
	if c := ClassOf(0, 1); c != 0 {
		t.Errorf("size 0: class %d", c)
	}
	const maxInt = uintptr(^uint(0) >> 1)
	for _, size := range []uintptr{MaxMedium + 1, 1 << 20, 1 << 30, maxInt/2 + 1, maxInt} {
		if c := ClassOf(size, 1); c != 0 {
			t.Errorf("size %d: class %d", size, c)
		}
	}
}

// The multiplication by the reciprocal is exact at every offset in every span.
func TestReciprocals(t *testing.T) {
	for c := 1; c < FirstMedium; c++ {
		k := &Classes[c]
		size := uint64(k.Size)
		q, rest := uint64(0), uint64(0) // off/size, off%size
		for off := uint64(0); off < uint64(max(k.Pages, k.LongPages))*PageSize; off++ {
			if got := off * uint64(k.recip) >> 32; got != q {
				t.Fatalf("class %d: %d*recip>>32 == %d, want %d/%d == %d", c, off, got, off, size, q)
			}
			if rest++; rest == size {
				q, rest = q+1, 0
			}
		}
	}
}

// Records have room for the bitmaps.
func TestClassesFit(t *testing.T) {
	for c := 1; c < FirstMedium; c++ {
		k := &Classes[c]
		for _, n := range []struct {
			pages uint16
			units uint8
		}{{k.Pages, k.units}, {k.LongPages, k.longUnits}} {
			blocks := uintptr(n.pages) * PageSize / uintptr(k.Size)
			if need := recordHeader + (blocks+63)/64*8; blocks < 1 || need > uintptr(n.units)*unitSize ||
				n.units > maxUnits {
				t.Errorf("class %d: %d blocks in %d units, which must hold %d bytes", c, blocks, n.units, need)
			}
			if tail := uintptr(n.pages)*PageSize - blocks*uintptr(k.Size); tail*maxTail > uintptr(n.pages)*PageSize {
				t.Errorf("class %d: of %d pages %d bytes are left over", c, n.pages, tail)
			}
			if (blocks+63)/64 > maxWords || blocks*8 > 1<<16-1 {
				t.Errorf("class %d: %d blocks", c, blocks)
			}
		}
	}
}

var update = flag.Bool("update", false, "write the golden files")

// No other lengths have a class of medium blocks.
func TestMediumClass(t *testing.T) {
	found := 0
	for n := uintptr(0); n <= 4*roundedPages; n++ {
		c := MediumClass(n)
		if want := MaxSmall < n<<PageShift && n<<PageShift <= MaxMedium && CountFor(n<<PageShift) == n; (c != 0) != want ||
			c != 0 && uintptr(Classes[c].Pages) != n {
			t.Errorf("%d pages: class %d, want one: %v", n, c, want)
		}
		if c != 0 {
			found++
		}
	}
	if found != NumClasses-FirstMedium {
		t.Errorf("%d lengths have a class, want %d", found, NumClasses-FirstMedium)
	}
}

// The table of classes, for readers.
func TestClassTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("class   size | short spans: bytes blocks left over | long spans: bytes blocks left over" +
		" | worst waste\n")
	for c := 1; c < NumClasses; c++ {
		k := &Classes[c]
		size := int(k.Size)
		below := 0
		if c > 1 {
			below = int(Classes[c-1].Size)
		}
		span := func(pages uint16) string {
			if pages == 0 {
				return ""
			}
			bytes := int(pages) * PageSize
			return fmt.Sprintf("%6d %6d %9d", bytes, bytes/size, bytes%size)
		}
		fmt.Fprintf(&b, "%5d %6d | %12s%s | %11s%s | %10.1f%%\n", c, size, "", span(k.Pages), "", span(k.LongPages),
			100*float64(size-below-1)/float64(size))
	}
	const name = "testdata/classes.golden"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s is out of date; see what changes with -update", name)
	}
}

// The lengths of large blocks are at most an eighth apart up to a MiB, and each has a class.
func TestCountFor(t *testing.T) {
	last, class := uintptr(0), uint(0)
	for n := uintptr(1); n <= 2*roundedPages; n++ {
		got := CountFor(n << PageShift)
		if got < n || got != CountFor((n-1)<<PageShift+1) || CountFor(got<<PageShift) != got {
			t.Errorf("%d pages become %d, and those %d", n, got, CountFor(got<<PageShift))
		}
		if n > roundedPages || n <= finePages {
			if got != n {
				t.Errorf("%d pages become %d", n, got)
			}
		} else if (got-n)*8 >= n {
			t.Errorf("%d pages become %d, more than an eighth longer", n, got)
		}
		c := LengthClass(got)
		if want := min(class+1, LengthClasses-1); n > MaxSmall>>PageShift && got != last && c != want {
			t.Errorf("%d pages are class %d, want %d", got, c, want)
		} else if got == last && c != class {
			t.Errorf("%d pages are classes %d and %d", got, c, class)
		}
		if n == MaxSmall>>PageShift {
			c = ^uint(0) // the next is class 0
		}
		last, class = got, c
	}
	if CountFor(1<<30+1) != 1<<30>>PageShift+1 || CountFor(0) != 0 {
		t.Error("a long run, or none, is rounded")
	}
}
