package workload

import (
	"sync"

	"github.com/galloc-go/galloc"
)

var xmallocTest = Workload{
	Name: "xmalloc-test", About: "blocks allocated by some threads and freed by others",
	Op: "a block allocated and freed",
	Params: []Param{
		{"batches", 200, 1, maxCount, "batches of each producer"},
		{"batch", 4096, 1, maxSlots, "blocks per batch"},
		{"size", 64, 0, maxSize, "size of a block; 0: one of 17 from 8 to 2048"},
	},
	build: func(g *gang, v values) job {
		threads, size := v.int("threads"), v.size("size")
		l := newBatchList(101+2*threads, v.int("batch"), v.u64("batches")*v.u64("threads"))
		return job{
			threads: 2 * threads,
			run: func(t *thread) {
				if t.id < threads {
					for range v.u64("batches") {
						b := l.array()
						b.produce(t, size)
						l.push(b)
					}
					return
				}
				for b := l.pop(); b != nil; b = l.pop() {
					t.emptyAll(b.slots)
					t.ops += uint64(len(b.slots))
					l.release(b)
				}
			},
		}
	},
}

var xmallocSizes = [17]uintptr{8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048}

// blockBatch is a batch of blocks from a producer to a consumer.
type blockBatch struct {
	slots []slot
	next  *blockBatch
}

func (b *blockBatch) produce(t *thread, fixed uintptr) {
	r := t.rng
	for i := range b.slots {
		size := fixed
		if size == 0 {
			size = xmallocSizes[r.below(uint64(len(xmallocSizes)))]
		}
		l, _ := galloc.NewLayout(size, minAlign)
		p := t.get(size, l)
		clear(bytesOf(p, min(size, 128)))
		b.slots[i] = slot{p, l}
	}
	t.rng = r
}

// maxFilled is the number of batches that the list holds. When it is full, producers wait.
const maxFilled = 100

// batchList is the filled batches, last in, first out, and the free arrays. These hold under mu:
//
//	count = length of filled <= maxFilled
//	left = batches that have not been popped yet
//	arrays in free = all - count - arrays that producers and consumers use, at most one each
type batchList struct {
	mu             sync.Mutex
	mayPop, mayPut *sync.Cond
	filled, free   *blockBatch
	count          int
	left           uint64
}

func newBatchList(arrays, blocks int, total uint64) *batchList {
	l := &batchList{left: total}
	l.mayPop, l.mayPut = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	for range arrays {
		l.free = &blockBatch{slots: newSlots(blocks), next: l.free}
	}
	return l
}

// array returns an empty batch.
func (l *batchList) array() *blockBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.free
	l.free = b.next
	return b
}

func (l *batchList) release(b *blockBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.next, l.free = l.free, b
}

func (l *batchList) push(b *blockBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.count == maxFilled {
		l.mayPut.Wait()
	}
	b.next, l.filled = l.filled, b
	l.count++
	l.mayPop.Signal()
}

// pop returns nil when all batches have been popped.
func (l *batchList) pop() *blockBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.count == 0 && l.left > 0 {
		l.mayPop.Wait()
	}
	if l.left == 0 {
		return nil
	}
	b := l.filled
	l.filled = b.next
	l.count--
	l.mayPut.Signal()
	if l.left--; l.left == 0 {
		l.mayPop.Broadcast()
	}
	return b
}
