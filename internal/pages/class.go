// Size classes. See allocator.go for the overview, and testdata/classes.golden for the table.

package pages

import "math/bits"

// Pages and small blocks.
const (
	PageShift = 12
	PageSize  = 1 << PageShift // bytes

	MaxSmall  = 32 << 10  // bytes of the largest block that lies in a span with others
	MaxMedium = 256 << 10 // bytes of the largest block that has a class
	classStep = 8         // bytes from one entry of ClassTable to the next

	// FirstMedium is the first class of medium blocks, after the classes of small ones.
	FirstMedium = 1 + 16 + 6*8 + 2*4
	// NumClasses counts the classes, and class 0, which has no blocks: it means a long block, or
	// size 0.
	NumClasses = FirstMedium + 3*finePages/2
	// ClassLimit is a power of two, so that a class can be bounded without a branch.
	ClassLimit = 128
)

// A Class describes the blocks and spans of one size class. Its first spans are short, so that a
// program that uses a class for a few blocks does not pay for many. Later ones are long. A medium
// block is a run for itself, of Pages pages; the other fields are 0.
//
//	class >= FirstMedium  <=>  Size == Pages*PageSize, and CountFor returns Pages for some size
//	off*recip>>32 == off/Size   for 0 <= off < max(Pages, LongPages)*PageSize
type Class struct {
	Size             uint32 // bytes of a block
	recip            uint32 // 2^32/Size, rounded up
	Pages, LongPages uint16 // of a short and of a long span
	units, longUnits uint8  // of their records
}

// How long spans are. These were chosen by replaying traces: see RATIONALE.md.
const (
	minBlocks     = 4        // blocks in a span; if they are longer than a page, pages
	maxTail       = 16       // the bytes left over at the end of a span are at most 1/maxTail of it
	maxLong       = 32 << 10 // bytes of a long span, unless short spans have more
	maxLongBlocks = 1024     // blocks of a long span
)

var (
	// Classes holds the classes 1 to NumClasses-1, by size. It must not be changed.
	Classes = makeClasses()

	// ClassTable maps sizes to classes: entry (size+7)/8 is ClassOf(size, 8). It must not be
	// changed.
	ClassTable = makeClassTable()
)

// makeClasses makes the classes: every 8 bytes up to 128, then eight for each doubling up to 8 KiB,
// then four for each doubling. With more classes, less memory is lost inside blocks (at most 11 %
// of a block between 128 bytes and 8 KiB) and more in partly used spans. The classes of medium
// blocks are the lengths that CountFor returns.
func makeClasses() (t [ClassLimit]Class) {
	c := 1
	add := func(size uint32) {
		t[c] = makeClass(size)
		c++
	}
	for size := uint32(8); size <= 128; size += 8 {
		add(size)
	}
	for size := uint32(128); size < MaxSmall; size *= 2 {
		steps := uint32(8)
		if size >= 8<<10 {
			steps = 4
		}
		for i := range steps {
			add(size + size/steps*(i+1))
		}
	}
	if c != FirstMedium {
		panic("galloc: pages: FirstMedium does not count the classes of small blocks")
	}
	for size := uintptr(MaxSmall + PageSize); size <= MaxMedium; size += PageSize {
		if n := CountFor(size); n<<PageShift == size {
			t[c] = Class{Size: uint32(size), Pages: uint16(n)}
			c++
		}
	}
	if c != NumClasses {
		panic("galloc: pages: NumClasses does not count the classes")
	}
	return t
}

func makeClass(size uint32) Class {
	n := uint32(1)
	for n*PageSize < minBlocks*min(size, PageSize) || n*PageSize < size || n*PageSize%size*maxTail > n*PageSize {
		n++
	}
	long := n
	for (long+n)*PageSize <= maxLong && (long+n)*PageSize/size <= maxLongBlocks {
		long += n
	}
	if long > maxSpan {
		panic("galloc: pages: a span has more pages than a PageMask")
	}
	return Class{
		Size:      size,
		recip:     uint32((1<<32 + uint64(size) - 1) / uint64(size)),
		Pages:     uint16(n),
		LongPages: uint16(long),
		units:     unitsFor(n * PageSize / size),
		longUnits: unitsFor(long * PageSize / size),
	}
}

// SpanPages returns the number of pages of a short or a long span of the class.
func SpanPages(class uint8, long bool) uint32 {
	if long {
		return uint32(Classes[class].LongPages)
	}
	return uint32(Classes[class].Pages)
}

// unitsFor returns the length of the record of a span of n blocks.
func unitsFor(n uint32) uint8 {
	return uint8((recordHeader + uintptr(n+63)/64*8 + unitSize - 1) / unitSize)
}

// makeClassTable returns the table from sizes to classes: entry i is the smallest class for
// i*classStep bytes, and entry 0 is 0. The table has 32 KiB, of which a program touches the lines
// of the sizes that it uses.
func makeClassTable() (t [MaxMedium/classStep + 1]uint8) {
	i := uint32(1)
	for c := uint8(1); c < NumClasses; c++ {
		for end := Classes[c].Size / classStep; i <= end; i++ {
			t[i] = c
		}
	}
	return t
}

// ClassOf returns the class of blocks of the given size and alignment, or 0 if the size is 0 or
// more than MaxMedium, or the alignment is more than a page. The size, rounded up to the alignment,
// must be at most MaxInt.
//
// The size is rounded up to the alignment first. A class that then fits is a multiple of the
// alignment, because the steps between classes are powers of two: if the step at that size is less
// than the alignment, the rounded size is a class itself, and otherwise all classes there are
// multiples of the step. Spans and medium blocks start at pages.
func ClassOf(size, align uintptr) uint8 {
	size = (size + align - 1) & -align
	if size > MaxMedium || align > PageSize {
		return 0
	}
	return ClassTable[(size+classStep-1)/classStep]
}

// ClassSize returns the size of the blocks of class c, or 0 if there is no such class.
func ClassSize(c uint32) uintptr {
	if c == 0 || c >= NumClasses {
		return 0
	}
	return uintptr(Classes[c].Size)
}

// UsableSize returns the size of the block that the heap allocates for size and align: the size of
// its class, or the pages that CountFor returns.
func UsableSize(size, align uintptr) uintptr {
	if c := ClassOf(size, align); c != 0 {
		return uintptr(Classes[c].Size)
	}
	return CountFor(size) << PageShift
}

// CountFor returns the number of pages of a large block of size bytes. Up to roundedPages there are
// eight lengths for each doubling, so that a block that was freed often fits the next request.
func CountFor(size uintptr) uintptr {
	n := pagesFor(size)
	if finePages < n && n <= roundedPages {
		step := uintptr(1) << (bits.Len(uint(n-1)) - fineBits)
		n = (n + step - 1) &^ (step - 1)
	}
	return n
}

// MediumClass returns the class of a run of n pages, or 0 if medium blocks have no such length.
func MediumClass(n uintptr) uint8 {
	if n > MaxMedium>>PageShift {
		return 0
	}
	if c := ClassTable[n<<PageShift/classStep]; c >= FirstMedium && uintptr(Classes[c].Pages) == n {
		return c
	}
	return 0
}

// IsMedium reports whether c is a class of medium blocks.
func IsMedium(c uint8) bool { return c >= FirstMedium }

// IsSmall reports whether c is a class of small blocks.
func IsSmall(c uint8) bool { return 0 < c && c < FirstMedium }

// LengthClass returns the number of a length that CountFor returns, less than LengthClasses, or
// LengthClasses-1 if it is not rounded.
func LengthClass(n uintptr) uint {
	switch {
	case n <= finePages:
		return uint(max(n, finePages/2+1) - finePages/2 - 1)
	case n > roundedPages:
		return LengthClasses - 1
	}
	k := uint(bits.Len(uint(n-1)) - fineBits)
	return finePages/2*k + uint(n>>k) - finePages/2 - 1
}

// Up to finePages a large block has as many pages as it needs.
const (
	fineBits     = 4
	finePages    = 1 << fineBits
	roundedPages = 1 << 20 >> PageShift

	// LengthClasses counts the lengths of large blocks up to roundedPages, and all others as one.
	LengthClasses = finePages/2*5 + 1
)

// pagesFor returns the number of pages that size bytes lie in.
func pagesFor(size uintptr) uintptr {
	return (size + PageSize - 1) >> PageShift
}
