package metrics

import "math"

// table is all metrics, sorted by name.
var table = []metric{
	ofHeap("/calls/commits:calls", "System calls that made pages accessible.", true,
		func(h *Heap) uint64 { return h.Commits }),
	ofHeap("/calls/purged:bytes", "Bytes returned to the system.", true, func(h *Heap) uint64 { return h.PurgedBytes }),
	ofHeap("/calls/purges:calls", "System calls that returned pages.", true, func(h *Heap) uint64 { return h.Purges }),
	{
		Description{"/decay:seconds", "Time after which free pages are returned to the system.", KindFloat64, false},
		func(s *Snapshot) Value {
			if s.Heap == nil {
				return Value{}
			}
			return Value{kind: KindFloat64, scalar: math.Float64bits(s.Heap.Decay.Seconds())}
		},
	},
	ofHeap("/events/drains:events", "Times that caches of Ps were emptied.", true,
		func(h *Heap) uint64 { return h.Drains }),
	ofHeap("/events/misuses:events", "Misuses that the heap has reported.", true,
		func(h *Heap) uint64 { return h.Misuses }),
	ofHeap("/events/refusals/limit:events", "Times that the hard limit was reached.", true,
		func(h *Heap) uint64 { return h.LimitRefusals }),
	ofHeap("/events/refusals/system:events", "Times that the system had no memory or no address space.", true,
		func(h *Heap) uint64 { return h.SystemRefusals }),
	ofHeap("/events/soft-limit:events", "Times that the heap released memory because of the soft limit.", true,
		func(h *Heap) uint64 { return h.SoftLimitHits }),
	ofHeap("/events/ticks:events", "Times that the heap looked for memory to release.", true,
		func(h *Heap) uint64 { return h.Ticks }),
	ofHeap("/limit/hard:bytes", "The hard limit of the footprint, or 0.", false,
		func(h *Heap) uint64 { return h.HardLimit }),
	ofHeap("/limit/soft:bytes", "The soft limit of the footprint, or 0.", false,
		func(h *Heap) uint64 { return h.SoftLimit }),
	ofHeap("/locks/pages/waits:events", "Times that the lock of the pages was not free.", true,
		func(h *Heap) uint64 { return h.PageWaits }),
	ofHeap("/locks/pages:events", "Times that the lock of the pages was taken.", true,
		func(h *Heap) uint64 { return h.PageLocks }),
	ofHeap("/locks/spans/waits:events", "Times that a lock of spans was not free.", true,
		func(h *Heap) uint64 { return h.sum(func(c *Class) uint64 { return c.Waits }) }),
	ofHeap("/locks/spans:events", "Times that a lock of spans was taken.", true,
		func(h *Heap) uint64 { return h.sum(func(c *Class) uint64 { return c.Locks }) }),
	ofHeap("/memory/active:bytes", "Pages of spans and of large blocks.", false, func(h *Heap) uint64 { return h.Active }),
	ofHeap("/memory/cached:bytes", "Free blocks in the caches of the Ps.", false,
		func(h *Heap) uint64 { return h.Cached }),
	ofHeap("/memory/clean:bytes", "Free pages without memory.", false, func(h *Heap) uint64 { return h.Clean }),
	ofHeap("/memory/committed:bytes", "Accessible pages.", false, func(h *Heap) uint64 { return h.Committed }),
	ofAny("/memory/footprint:bytes", "Memory that the allocator holds.", func(s *Snapshot) uint64 { return s.Footprint }),
	ofHeap("/memory/go:bytes", "Go memory for the heap's own needs.", false, func(h *Heap) uint64 { return h.GoMemory }),
	ofHeap("/memory/held:bytes", "Pages that are being returned to the system.", false,
		func(h *Heap) uint64 { return h.Held }),
	ofHeap("/memory/hollow:bytes", "Pages of free small blocks that were returned to the system.", false,
		func(h *Heap) uint64 { return h.Hollow }),
	ofHeap("/memory/large:blocks", "Allocated blocks that are no small blocks.", false,
		func(h *Heap) uint64 { return h.LargeBlocks }),
	ofHeap("/memory/large:bytes", "Bytes of allocated blocks that are no small blocks.", false,
		func(h *Heap) uint64 { return h.Large }),
	bySize("/memory/live-by-size:blocks", "Allocated blocks by their usable sizes.",
		func(h *Heap) uint64 { return h.LargeBlocks }, func(c *Class) uint64 { return c.Live }),
	ofAny("/memory/live:blocks", "Allocated blocks.", func(s *Snapshot) uint64 { return s.LiveBlocks }),
	ofAny("/memory/live:bytes", "Bytes of allocated blocks.", func(s *Snapshot) uint64 { return s.Live }),
	ofHeap("/memory/metadata:bytes", "Memory for the heap's own needs.", false,
		func(h *Heap) uint64 { return h.Metadata }),
	ofHeap("/memory/reserved:bytes", "Address space.", false, func(h *Heap) uint64 { return h.Reserved }),
	ofHeap("/memory/retained:bytes", "Free pages that may have memory.", false,
		func(h *Heap) uint64 { return h.Retained }),
	ofHeap("/memory/stashed:bytes", "Free large blocks that the Ps keep for reuse.", false,
		func(h *Heap) uint64 { return h.Stashed }),
	{
		Description{"/process/resident:bytes", "Memory of the whole process in RAM, on Linux.", KindUint64, false},
		func(s *Snapshot) Value {
			if s.Resident == 0 {
				return Value{}
			}
			return integer(s.Resident)
		},
	},
	ofHeap("/runs/allocated:runs", "Runs of pages allocated, for spans and large blocks.", true,
		func(h *Heap) uint64 { return h.RunsAllocated }),
	ofHeap("/runs/freed:runs", "Runs of pages freed.", true, func(h *Heap) uint64 { return h.RunsFreed }),
	ofHeap("/runs/grown:runs", "Large blocks grown without moving.", true,
		func(h *Heap) uint64 { return h.GrownInPlace }),
	ofHeap("/runs/moved:runs", "Large blocks moved with their pages, without copying.", true,
		func(h *Heap) uint64 { return h.Moved }),
	ofHeap("/spans:spans", "Runs of pages that are cut into small blocks.", false,
		func(h *Heap) uint64 { return h.Spans }),
}

// sum returns the sum of a figure of all classes.
func (h *Heap) sum(f func(*Class) uint64) (n uint64) {
	for i := range h.Classes {
		n += f(&h.Classes[i])
	}
	return n
}
