package heap

import "github.com/galloc-go/galloc/internal/engine"

// MisuseKind is what is wrong with a block that was given back.
type MisuseKind uint8

// The kinds of misuse. Which of them it is, is found out when it is reported: other
// goroutines, at work meanwhile, may make one kind look like another.
const (
	// DoubleFree: the block is not allocated. It was freed before, or never handed out.
	DoubleFree = MisuseKind(engine.FaultDouble)
	// ForeignAddress: the address is none of this heap's. It is nil, of the Go heap, of C,
	// or of another Heap.
	ForeignAddress = MisuseKind(engine.FaultForeign)
	// InteriorAddress: the address lies in this heap, but no block starts there.
	InteriorAddress = MisuseKind(engine.FaultInterior)
	// WrongLayout: the block is of another size than the layout says.
	WrongLayout = MisuseKind(engine.FaultLayout)
)

// String returns the kind in words, such as "double free".
func (k MisuseKind) String() string { return engine.Fault(k).String() }

// Misuse is a block that was given back in a way that cannot be obeyed. It is an error, and
// what a heap panics with, unless [Options.OnMisuse] is set.
type Misuse struct {
	Kind    MisuseKind
	Address uintptr // what was given back
	Given   uintptr // bytes of the block that the layout given back means, or 0 if it came by Free
	Actual  uintptr // bytes of the block that Address lies in, or 0 if there is none
	Start   uintptr // address of that block, or 0
}

func newMisuse(m engine.Misuse) Misuse {
	return Misuse{MisuseKind(m.Fault), m.Address, m.Given, m.Actual, m.Start}
}

// Error says it in words, with the addresses and sizes.
func (m Misuse) Error() string {
	return engine.Misuse{
		Fault: engine.Fault(m.Kind), Address: m.Address, Given: m.Given, Actual: m.Actual, Start: m.Start,
	}.Error()
}
