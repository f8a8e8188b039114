package pages

import (
	"math/bits"
	"sync/atomic"
)

// The extent map finds the extent of an address, in two steps. There is one for the process, so
// that a look-up in one heap never takes a block of another for its own. Extents are aligned to
// MapUnit, and multiples of it.
const (
	is32        = bits.UintSize == 32
	addressBits = 48 - 16*(bits.UintSize/32&1)
	leafBits    = (addressBits - mapUnitShift) / 2
	rootBits    = addressBits - mapUnitShift - leafBits
	MapUnit     = 1 << mapUnitShift
)

type extentLeaf [1 << leafBits]atomic.Pointer[Extent]

var extentRoot [1 << rootBits]atomic.Pointer[extentLeaf]

// ExtentAt returns the extent that contains address p, or nil. p may be any number.
func ExtentAt(p Ref) *Extent {
	u := uint64(p) >> mapUnitShift
	if u>>(rootBits+leafBits) != 0 {
		return nil
	}
	leaf := extentRoot[u>>leafBits&(1<<rootBits-1)].Load()
	if leaf == nil {
		return nil
	}
	return leaf[u&(1<<leafBits-1)].Load()
}

// Span returns the span that has the tag t, in any state.
func (t Tag) Span() *Span { return ExtentAt(t.Base()).SpanAt(t.Base()) }

// enter puts x into the extent map if present, and removes it otherwise.
func (x *Extent) enter(present bool) {
	v := x
	if !present {
		v = nil
	}
	first := uint64(uintptr(x.base)) >> mapUnitShift
	for u := first; u < first+uint64(x.pages)>>(mapUnitShift-PageShift); u++ {
		root := &extentRoot[u>>leafBits]
		leaf := root.Load()
		if leaf == nil {
			root.CompareAndSwap(nil, new(extentLeaf))
			leaf = root.Load()
		}
		leaf[u&(1<<leafBits-1)].Store(v)
	}
}
