package bufpool_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bufpool"
)

// A slice goes back whatever its length and pointer are by then; what is no slice in use is
// ignored.
func TestSlices(t *testing.T) {
	p, check := tracked(t, bufpool.Options{})
	s := bufpool.NewSlices(p)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			var all []*[]byte
			for range 2000 {
				if len(all) < 10 && r.IntN(2) == 0 {
					b := s.Get(r.IntN(1 << r.IntN(16)))
					for j := range *b {
						(*b)[j] = byte(len(*b))
					}
					all = append(all, b)
					continue
				}
				if len(all) == 0 {
					continue
				}
				j := r.IntN(len(all))
				b := all[j]
				all[j] = all[len(all)-1]
				all = all[:len(all)-1]
				for _, c := range *b {
					if c != byte(len(*b)) {
						t.Error("a slice has changed")
						return
					}
				}
				switch r.IntN(3) {
				case 0:
					*b = (*b)[:0]
				case 1:
					other := *b
					b = &other
				}
				s.Put(b)
			}
			for _, b := range all {
				s.Put(b)
			}
		})
	}
	wg.Wait()
	b := s.Get(100)
	other := make([]byte, 10)
	same := *b
	s.Put(&other)
	s.Put(nil)
	s.Put(new([]byte))
	if n := p.Stats().Buffers; n < 1 {
		t.Errorf("%d buffers", n)
	}
	s.Put(b)
	s.Put(b)
	s.Put(&same)
	check()
}

func TestSlicesOfTheDefaultPool(t *testing.T) {
	s := bufpool.NewSlices(nil)
	b := s.Get(100)
	if len(*b) != 100 || cap(*b) < 100 {
		t.Error(len(*b), cap(*b))
	}
	s.Put(b)
}

func TestSlicesWithoutMemory(t *testing.T) {
	a := alloctest.Fail(alloctest.Track(galloc.System), alloctest.At(1))
	s := bufpool.NewSlices(bufpool.New(bufpool.Options{Allocator: a}))
	if b, err := s.TryGet(100); b != nil || !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("%v, %v", b, err)
	}
	b, err := s.TryGet(100)
	if err != nil || len(*b) != 100 {
		t.Fatal(b, err)
	}
	s.Put(b)
}
