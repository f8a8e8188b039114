package cache

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
)

type place struct {
	x int8 // padding follows
	y float64
}

func TestTypedCache(t *testing.T) {
	removed := map[place][]Reason{}
	c, err := New(OptionsOf[place, [3]uint32]{
		MaxBytes: 2 << 20, MaxEntries: 3, MaxCost: 100,
		Cost:     func(k place, v [3]uint32) int64 { return int64(v[0]) + int64(k.x) },
		OnRemove: func(k place, v [3]uint32, why Reason) { removed[k] = append(removed[k], why) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer c.c.verify(t)
	a := place{1, 0}
	if err := c.Set(a, [3]uint32{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	a.y = math.Copysign(0, -1) // equal, with other bytes
	if v, ok := c.Get(a); v != [3]uint32{1, 2, 3} || !ok || !c.Has(a) || c.Stats().Cost != 2 {
		t.Errorf("%v, %v", v, ok)
	}
	nan := place{2, math.NaN()}
	if c.Set(nan, [3]uint32{}); c.Has(nan) || c.Len() != 2 {
		t.Error("NaN is found")
	}
	if err := c.Set(place{3, 3}, [3]uint32{98}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if err := c.SetWithTTL(place{3, 3}, [3]uint32{90}, time.Hour); err != nil || c.Stats().Cost > 100 {
		t.Errorf("%v", err)
	}
	v, err := c.GetOrLoad(t.Context(), place{4, 4}, func(context.Context, place) ([3]uint32, error) { return [3]uint32{4}, nil })
	if v != [3]uint32{4} || err != nil || !c.Has(place{4, 4}) {
		t.Errorf("%v, %v", v, err)
	}
	n := 0
	for k, v := range c.All() {
		if n++; k.x >= 3 && float64(k.x) != k.y || v[1] != 0 && v[1] != 2 {
			t.Errorf("%v: %v", k, v)
		}
	}
	if n != c.Len() || !c.Delete(place{4, 4}) || removed[place{4, 4}][0] != Deleted {
		t.Errorf("%d entries, removed %v", n, removed)
	}
	if c.Clear(); c.Len() != 0 {
		t.Errorf("%d entries are left", c.Len())
	}
}

func TestTypesOfAnySize(t *testing.T) {
	keys, err := New(OptionsOf[struct{}, struct{}]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	keys.Set(struct{}{}, struct{}{})
	if _, ok := keys.Get(struct{}{}); !ok || keys.Len() != 1 {
		t.Error("an empty key is not found")
	}
	for range keys.All() {
	}
	long, err := New(OptionsOf[byte, [5000]uint16]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	long.Set(7, [5000]uint16{4999: 3})
	if v, ok := long.Get(7); !ok || v[4999] != 3 || long.Has(8) {
		t.Error("a long value")
	}
}

func TestTypesWithPointersAreRefused(t *testing.T) {
	if _, err := New(OptionsOf[string, int]{MaxBytes: 2 << 20}); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	if _, err := New(OptionsOf[int, []byte]{MaxBytes: 2 << 20}); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	if _, err := New(OptionsOf[int, int]{}); err == nil {
		t.Error("no limit is no error")
	}
	if s := Reason(9).String(); s != "Reason(9)" || Cleared.String() != "Cleared" {
		t.Error(s)
	}
}
