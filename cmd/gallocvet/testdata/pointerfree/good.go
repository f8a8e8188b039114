package pointerfree

import (
	"errors"
	"reflect"
	"sync/atomic"

	"example.com/vet/pointerfree/lib"
	"example.com/vet/pointerfree/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/wrap"
)

type plain struct {
	id      uint64
	name    [16]byte
	address uintptr
	nothing [0]*int
	count   atomic.Int64
	text    collections.String
	next    collections.Handle[record] // only names a type
}

func onGoHeap() {
	p := galloc.Must(galloc.New[record](galloc.GoHeap))
	p.name = "tea"
	s := galloc.Must(galloc.MakeSlice[string](galloc.GoHeap, 10))
	s[0] = "tea"
}

func free() (*plain, error) { return galloc.New[plain](nil) }

func wrappedGoHeap() (*record, error) {
	return galloc.New[record](wrap.Stats(galloc.GoHeap))
}

func wrappedTwice() (*record, error) {
	a := wrap.Limit(wrap.Stats(galloc.GoHeap), 1<<20)
	return galloc.New[record](a)
}

func unknown(a galloc.Allocator) (*record, error) { return galloc.New[record](a) }

func known() (*record, error) { return unknown(galloc.GoHeap) }

func viaParameter() ([]string, error) { return lib.Scratch(galloc.GoHeap) }

func typedOnGoHeap() error {
	_, err := galloc.AllocateTyped(galloc.GoHeap, reflect.TypeFor[record](), 1)
	return err
}

func falls[T any](a galloc.Allocator) (*T, error) {
	p, err := galloc.New[T](a)
	if errors.Is(err, galloc.ErrPointers) {
		return galloc.New[T](galloc.GoHeap)
	}
	return p, err
}

func fallsBack() (*record, error) { return falls[record](nil) }

func either() (*record, error) { return lib.Either[record]() }

func generic2() {
	_, _ = lib.Make[record](galloc.GoHeap)
	_, _ = lib.Make[plain](nil)
	_, _ = lib.MakePair[int, [8]byte]()
	_, _ = mid.Build[uint32](nil)
	_, _ = mid.Build[string](galloc.GoHeap)
	_, _ = mid.Here[plain]()
	_, _ = lib.Copy(nil, []float64{1})
}

type number interface{ ~int | ~float64 }

func sum[N number](all []N) (N, error) {
	s, err := galloc.MakeSlice[N](nil, len(all))
	if err != nil {
		return 0, err
	}
	defer galloc.FreeSlice(nil, s)
	copy(s, all)
	return s[0], nil
}

type keeps struct {
	c lib.Cache[uint64, plain]
	i mid.Index[int]
	t lib.Tree[int, *record] // its values are in a Go slice
}

var (
	words  collections.StringMap[plain] // copies its keys
	shared collections.Map[int, collections.Rc[int]]
)

func boxOnGoHeap() error {
	b, err := galloc.NewBox(galloc.GoHeap, "tea")
	if err != nil {
		return err
	}
	defer b.Free()
	return b.Set("coffee")
}

type hasWrapper struct{ galloc.Allocator }

func inStruct(h hasWrapper) (*record, error) { return galloc.New[record](h.Allocator) }

var ignored collections.Vec[func()] //galloc:ignore pointerfree the test wants the error
