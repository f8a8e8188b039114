// Package fromlibrary registers, which a library should not.
package fromlibrary

import (
	"sync"
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

func init() {
	galloc.RegisterGlobal(galloc.System) // want "package fromlibrary registers a global allocator"
}

// Setup registers.
func Setup(a galloc.GlobalAlloc) {
	if a != nil {
		galloc.RegisterGlobal(a) // want "package fromlibrary registers a global allocator"
	}
}

func closure() func() {
	return func() { galloc.RegisterGlobal(galloc.System) } // want "package fromlibrary registers a global allocator"
}

var once sync.Once

func lazily() {
	once.Do(func() {
		galloc.RegisterGlobal(galloc.AsGlobal(wrap.Stats(galloc.System))) // want "package fromlibrary registers a global allocator"
	})
}

type config struct{ a galloc.GlobalAlloc }

// Apply registers.
func (c *config) Apply() error {
	galloc.RegisterGlobal(c.a) // want "package fromlibrary registers a global allocator"
	return nil
}

var registered = func() bool {
	galloc.RegisterGlobal(galloc.System) // want "package fromlibrary registers a global allocator"
	return true
}()

func generic[A galloc.GlobalAlloc](a A) {
	galloc.RegisterGlobal(a) // want "package fromlibrary registers a global allocator"
}

func later() {
	defer galloc.RegisterGlobal(galloc.System) // want "package fromlibrary registers a global allocator"
}

func concurrently() {
	go galloc.RegisterGlobal(galloc.System) // want "package fromlibrary registers a global allocator"
}

var register = galloc.RegisterGlobal // want "package fromlibrary registers a global allocator"

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{ // want "package fromlibrary selects the global allocator"
	Path: "example.com/vet/fromlibrary",
	New:  func() galloc.GlobalAlloc { return galloc.System },
}

func describe() string { return galloc.DescribeGlobal() }

func ignored() {
	galloc.RegisterGlobal(galloc.System) //galloc:ignore fromlibrary main calls it
}

func noReason() {
	// want:+1 "needs a reason"
	//galloc:ignore fromlibrary
	_ = describe
}
