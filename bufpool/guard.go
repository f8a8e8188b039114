package bufpool

import (
	"fmt"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/libc"
	"github.com/galloc-go/galloc/internal/memcheck"
)

// GuardOptions says which buffers are guarded. The zero value guards none.
type GuardOptions struct {
	// Rate n guards one Get in n, chosen at random. 0 guards none, and 1 every buffer.
	Rate int

	// Delay is the minimum time for which the pages of a guarded buffer stay inaccessible after
	// Put. They stay so for longer if there is unused address space.
	Delay time.Duration

	// Bytes is the maximum number of bytes of guarded buffers in use. While the next one would
	// exceed it, no buffer is guarded. 0 means 16 MiB.
	Bytes int

	// Space is the number of bytes of address space for guarded buffers, in use and put back. 0
	// means 64 MiB, or 16 MiB on 32-bit systems. While it is used up by buffers that are in use or
	// younger than Delay, no buffer is guarded.
	Space int

	// OnMisuse is called for each misuse of a guarded buffer, by the goroutine that has found it.
	// When it returns, a second Put has no effect, and other methods panic. If it is nil, the
	// report is printed to standard error, and the program is aborted.
	OnMisuse func(*Misuse)
}

const defaultGuardBytes = 16 << 20

func (g *GuardOptions) check() {
	for _, o := range []struct {
		name  string
		value int64
	}{{"Rate", int64(g.Rate)}, {"Delay", int64(g.Delay)}, {"Bytes", int64(g.Bytes)}, {"Space", int64(g.Space)}} {
		switch {
		case o.value < 0:
			panic(fmt.Sprintf("galloc/bufpool: Options.Guard.%s is %d: it must not be negative", o.name, o.value))
		case o.value > 0 && g.Rate == 0:
			panic(fmt.Sprintf("galloc/bufpool: Options.Guard.%s is set, but no buffer is guarded: set Rate too", o.name))
		}
	}
}

// A Misuse is a report of the misuse of a guarded buffer.
type Misuse struct {
	// Kind is "double free" for a second Put, "use after free", "overflow" or "underflow" for an
	// access outside of the buffer, or "wild access" if the buffer is no longer known.
	Kind string

	// Addr is the address of the buffer, or of the byte that was accessed.
	Addr uintptr

	// Stack is where the misuse was found, and Get and Put where the buffer was got and put back;
	// each as runtime.Callers returns it.
	Stack, Get, Put []uintptr

	line, text string
}

// Error returns one line.
func (m *Misuse) Error() string { return m.line }

// String returns the report on several lines, with the stacks.
func (m *Misuse) String() string { return m.text }

func misuseOf(r *memcheck.Report) *Misuse {
	return &Misuse{
		Kind: r.Kind.String(), Addr: r.Addr, Stack: r.Stack, Get: r.Block.AllocStack, Put: r.Block.FreeStack,
		line: r.Error(), text: r.String(),
	}
}

func (p *Pool) openGuard() {
	g := &p.options.Guard
	o := memcheck.Options{
		Sample: 1, GuardDelay: g.Delay, GuardSpace: uintptr(g.Space), GuardLimit: maxGuarded, Abort: libc.Abort,
	}
	if g.OnMisuse != nil {
		o.OnMisuse = func(r *memcheck.Report) { g.OnMisuse(misuseOf(r)) }
	}
	c := memcheck.New(nil, o)
	if can, _ := c.Guards(); can {
		p.guard = c
	}
}

// maxGuarded is the maximum number of guarded buffers in use. Each takes two or three mappings on
// some systems, of which Linux allows a process 65530.
const maxGuarded = 4096

// getGuarded returns a guarded buffer, or nil if it cannot.
func (p *Pool) getGuarded(n int) *Buffer {
	class := classOf(n)
	l, err := layoutFor(n, class)
	if err != nil {
		return nil
	}
	limit := int64(p.options.Guard.Bytes)
	if limit == 0 {
		limit = defaultGuardBytes
	}
	size := int64(l.Size())
	if p.flight.Add(size) > limit {
		p.flight.Add(-size)
		return nil
	}
	at := p.guard.AllocGuarded(l.Size(), l.Align())
	if at == nil {
		p.flight.Add(-size)
		return nil
	}
	p.guarded.Add(1)
	b := p.newHeader()
	b.b, b.class, b.flags = unsafe.Slice((*byte)(at), l.Size()), uint8(min(class, numClasses)), guarded
	b.hand(n)
	return b
}

// putGuarded is Put of a guarded buffer.
func (p *Pool) putGuarded(b *Buffer) {
	b.refs = 0
	p.flight.Add(-int64(cap(b.b)))
	p.freeGuarded(b)
	p.mu.Lock()
	if old := p.retired.add(b); old != nil {
		old.b, old.flags = nil, 0
		p.headers.free(old)
	}
	p.mu.Unlock()
}

func (p *Pool) freeGuarded(b *Buffer) {
	at, l := b.block()
	p.guard.Free(at, l.Size(), l.Align())
}

// block returns the address and the layout of the block of b, which may be inaccessible.
func (b *Buffer) block() (unsafe.Pointer, galloc.Layout) {
	l, _ := galloc.NewLayout(uintptr(cap(b.b)), blockAlign)
	return unsafe.Pointer(unsafe.SliceData(b.b)), l
}

// retired is a queue of the Buffers whose guarded block was put back most recently. They are not
// used again for a while, so that a second Put finds the block.
type retired struct {
	first, last *Buffer // linked by next
	n           int
}

const maxRetired = 256

// add adds b, and returns the Buffer that leaves the queue, or nil.
func (r *retired) add(b *Buffer) (old *Buffer) {
	b.next = link{}
	if r.last != nil {
		r.last.next.set(b)
	} else {
		r.first = b
	}
	r.last = b
	if r.n < maxRetired {
		r.n++
		return nil
	}
	old = r.first
	r.first = old.next.buffer()
	return old
}

// putTwice reports a Put of a buffer that was put back.
func (p *Pool) putTwice(b *Buffer) {
	if b.flags&guarded == 0 {
		panic("galloc/bufpool: Put of a buffer that was put back before")
	}
	p.freeGuarded(b) // reports it
}

// reportUse reports the use of b, if its block is guarded.
func (p *Pool) reportUse(b *Buffer) {
	if b.flags&guarded != 0 {
		at, _ := b.block()
		p.guard.CheckUse(at)
	}
}

// CatchPageFaults makes this goroutine report accesses to guarded buffers after Put, and past their
// ends, until the returned function is called. Defer that:
//
//	defer p.CatchPageFaults()()
//
// On other goroutines, such an access ends the program with Go's "unexpected fault address" and its
// stack. If OnMisuse returns, the goroutine panics with the *Misuse. Other panics pass.
func (p *Pool) CatchPageFaults() (done func()) {
	p.prepare()
	if p.guard == nil {
		return func() {}
	}
	was := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(was)
		v := recover()
		if v == nil {
			return
		}
		if r := p.guard.PageFault(v); r != nil {
			p.guard.Report(r)
			panic(misuseOf(r))
		}
		panic(v)
	}
}
