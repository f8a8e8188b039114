package peers

import (
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"modernc.org/memory"
)

func init() {
	enter(
		Peer{
			"modernc",
			"modernc.org/memory, which is not safe for concurrent use, with a mutex",
			func(Need) (galloc.GlobalAlloc, error) {
				return &modernc{}, nil
			},
		},
	)
}

// moderncAlign is the alignment of its blocks.
const moderncAlign = 16

type modernc struct {
	mu sync.Mutex
	a  memory.Allocator
}

func (m *modernc) malloc(size uintptr) unsafe.Pointer {
	m.mu.Lock()
	p, err := m.a.UnsafeMalloc(int(size))
	m.mu.Unlock()
	if err != nil {
		return nil
	}
	return p
}

func (m *modernc) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Align() > moderncAlign {
		return padded(l.Size(), l.Align(), m.malloc)
	}
	return m.malloc(l.Size())
}

func (m *modernc) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Align() > moderncAlign {
		return galloc.DefaultAllocZeroed(m, l)
	}
	m.mu.Lock()
	p, err := m.a.UnsafeCalloc(int(l.Size()))
	m.mu.Unlock()
	if err != nil {
		return nil
	}
	return p
}

func (m *modernc) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if l.Align() > moderncAlign {
		return galloc.DefaultRealloc(m, p, l, newSize)
	}
	m.mu.Lock()
	q, err := m.a.UnsafeRealloc(p, int(newSize))
	m.mu.Unlock()
	if err != nil {
		return nil
	}
	return q
}

func (m *modernc) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Align() > moderncAlign {
		p = base(p)
	}
	m.mu.Lock()
	err := m.a.UnsafeFree(p)
	m.mu.Unlock()
	if err != nil {
		panic("peers: modernc.org/memory: " + err.Error())
	}
}

func (*modernc) String() string { return "modernc.org/memory " + version("modernc.org/memory") }
