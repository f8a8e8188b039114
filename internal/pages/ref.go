package pages

import "unsafe"

// A Ref is the address of something outside of the Go heap, or 0. The garbage collector does not
// see it, and storing it needs no write barrier. (Where pages are Go memory, package vm keeps them
// alive.)
type Ref uintptr

// RefOf returns the address p.
//
//go:nosplit
func RefOf(p unsafe.Pointer) Ref { return Ref(uintptr(p)) }

// Pointer returns r as a pointer. It reads the bits as a pointer where they are, which vet can
// follow, rather than convert a number.
//
//go:nosplit
func (r *Ref) Pointer() unsafe.Pointer {
	// SAFETY: r holds an address in a reservation of package vm, or 0, as RefOf got it. It is not
	// Go memory that could be freed.
	return *(*unsafe.Pointer)(unsafe.Pointer(r))
}

func (r *Ref) span() *Span { return (*Span)(r.Pointer()) }
