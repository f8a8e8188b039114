// Size classes. See engine.go for overview, and testdata/classes.golden for the table that comes out.

package engine

const (
	pageShift = 12
	pageSize  = 1 << pageShift // bytes of a page, the unit of runs and spans

	smallMax  = 32 << 10 // bytes of the largest block that lives in a span
	classStep = 8        // bytes from one entry of ClassTable to the next

	numClasses = 1 + 16 + 6*8 + 2*4 // with class 0, which has no blocks: it stands for runs of their own, and for size 0
	classLimit = 128                // a power of two, so that a class can be bounded without a branch
	numSlots   = 4096               // of a cache: enough for all magazines; see makeClasses
)

// A class describes the spans and blocks of one size class. Its first spans are small, so that a program that uses a class for
// a few blocks does not pay for many; when it has manySpans of them, the next ones are larger.
//
//	off*recip>>32 == off/size   for 0 <= off < max(pages, morePages)*pageSize
//	slots + most < slots of the next class
type class struct {
	size             uint32 // bytes of a block
	recip            uint32 // 2^32/size, rounded up
	pages, morePages uint16 // of a span
	units, moreUnits uint8  // of its record
	most, wide       uint32 // blocks in a full magazine, without and with a room
	slots            uint32 // of a cache: the first of the magazine
}

// How spans are cut. All of these were chosen by replaying traces; figures are in RATIONALE.md.
const (
	minBlocks  = 4        // in a span, but not if that would take more than minBlocks pages and the block is no larger
	tailPart   = 16       // what is left over at the end of a span is at most one part in so many
	manySpans  = 32       // from how many spans of a class on they are larger
	moreSpan   = 32 << 10 // bytes of those, at most, unless a single small one has more
	moreBlocks = 1024     // and their blocks, at most
)

// TableLimit is what sizes must be below to have an entry in ClassTable.
const TableLimit = smallMax + 1

var (
	classes = makeClasses()

	// ClassTable leads from sizes to classes: entry (size+7)/8 is ClassOf(size, 8). It is for package galloc, and not to be changed.
	ClassTable = makeClassTable()
)

// makeClasses makes the classes: every 8 bytes up to 128, then eight for each doubling up to 8 KiB, and four from there on. The more
// there are, the less is lost inside of blocks (at most 11 % of the block, from 128 bytes to 8 KiB), and the more in spans that are
// partly used.
func makeClasses() (t [classLimit]class) {
	c := 1
	slots := uint32(1) // slots[0] is 0: what Pop finds below the first magazine
	for c := range t {
		t[c].slots = slots // class 0, and those that are not used
	}
	add := func(size uint32) {
		t[c] = makeClass(size)
		t[c].slots = slots + 1 // for the 0 below it
		slots += 1 + t[c].most
		c++
	}
	for size := uint32(8); size <= 128; size += 8 {
		add(size)
	}
	for size := uint32(128); size < smallMax; size *= 2 {
		steps := uint32(8)
		if size >= 8<<10 {
			steps = 4
		}
		for i := range steps {
			add(size + size/steps*(i+1))
		}
	}
	if c != numClasses || slots > numSlots {
		panic("galloc: engine: the constants of the size classes do not fit them")
	}
	return t
}

func makeClass(size uint32) class {
	n := uint32(1)
	for n*pageSize < minBlocks*min(size, pageSize) || n*pageSize < size || n*pageSize%size*tailPart > n*pageSize {
		n++
	}
	more := n
	for (more+n)*pageSize <= moreSpan && (more+n)*pageSize/size <= moreBlocks {
		more += n
	}
	return class{
		size:      size,
		recip:     uint32((1<<32 + uint64(size) - 1) / uint64(size)),
		pages:     uint16(n),
		morePages: uint16(more),
		units:     unitsFor(n * pageSize / size),
		moreUnits: unitsFor(more * pageSize / size),
		most:      max(2, min(magazineSlots, magazineBytes/size)),
		wide:      max(2, min(roomSlots, roomBytes/size)),
	}
}

// unitsFor returns the length of the record of a span of n blocks.
func unitsFor(n uint32) uint8 {
	return uint8((recordHeader + uintptr(n+63)/64*8 + unitSize - 1) / unitSize)
}

// makeClassTable returns the table from sizes to classes: in entry i stands the smallest class for i*classStep bytes, and 0 in entry 0. It
// has 4 KiB, of which a program touches what belongs to the sizes that it uses.
func makeClassTable() (t [smallMax/classStep + 1]uint8) {
	c := uint8(1)
	for i := 1; i <= smallMax/classStep; i++ {
		for classes[c].size < uint32(i)*classStep {
			c++
		}
		t[i] = c
	}
	return t
}

// ClassOf returns the class of blocks of that size and alignment, and 0 if the size is 0, or if they are runs of their own. Rounded
// up to the alignment, the size is at most MaxInt.
//
// The size is rounded up to the alignment first. A class that then fits is a multiple of the alignment, because the steps between
// classes are powers of two: if the step at that size is less than the alignment, the rounded size is a class itself, and
// otherwise all classes there are multiples of the step. Spans start at pages.
func ClassOf(size, align uintptr) uint8 {
	if align > pageSize {
		return 0
	}
	size = (size + align - 1) & -align
	if i := (size + classStep - 1) / classStep; i < uintptr(len(ClassTable)) {
		return ClassTable[i]
	}
	return 0
}

// pagesFor returns size rounded up to pages.
func pagesFor(size uintptr) uintptr {
	return (size + pageSize - 1) >> pageShift
}
