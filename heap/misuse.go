package heap

import (
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/misuse"
)

// MisuseKind is a kind of misuse.
type MisuseKind uint8

// The kinds of misuse. The kind is determined when the misuse is reported. Other goroutines that
// use the heap at the same time may make one kind look like another.
const (
	_            MisuseKind = iota
	DoubleFree              // the block is not allocated: it was freed before, or never allocated
	ForeignFree             // the address does not belong to this heap
	InteriorFree            // the address lies in this heap, but no block starts there
	WrongLayout             // the size of the block does not match the layout
)

// The kinds have the values of package misuse.
const (
	_ = uint(DoubleFree) - uint(misuse.DoubleFree) + uint(WrongLayout) - uint(misuse.WrongLayout)
	_ = uint(misuse.DoubleFree) - uint(DoubleFree) + uint(misuse.WrongLayout) - uint(WrongLayout)
)

// String returns the kind in words, such as "double free".
func (k MisuseKind) String() string { return misuse.Kind(k).String() }

// Misuse is an invalid free or resize. It has no effect on the heap. It is an error, and the value
// of the panic if [Options.OnMisuse] is nil.
type Misuse struct {
	Kind    MisuseKind
	Address uintptr // that was freed
	Given   uintptr // bytes of the block that the caller's layout means, or 0 for [Heap.Free]
	Actual  uintptr // bytes of the block that Address lies in, or 0 if there is none
	Start   uintptr // address of that block, or 0
}

func newMisuse(m engine.Misuse) Misuse {
	return Misuse{MisuseKind(m.Kind), m.Address, m.Given, m.Actual, m.Start}
}

// Error describes the misuse, with the addresses and sizes.
func (m Misuse) Error() string {
	return engine.Misuse{
		Kind: misuse.Kind(m.Kind), Address: m.Address, Given: m.Given, Actual: m.Actual, Start: m.Start,
	}.Error()
}
