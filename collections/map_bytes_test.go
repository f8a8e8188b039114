package collections_test

import (
	"testing"

	"github.com/galloc-go/galloc/collections"
)

func TestKeysInByteSlices(t *testing.T) {
	var s collections.StringMap[int]
	var x collections.TextMap
	defer s.Free()
	defer x.Free()
	key := []byte("key")
	if err := s.TryPutBytes(key, 1); err != nil {
		t.Error(err)
	}
	if err := x.TryPutBytes(key, []byte("value")); err != nil {
		t.Error(err)
	}
	if p, found := s.GetOrPutBytes(key); !found || *p != 1 {
		t.Error("GetOrPutBytes")
	}
	if p, found, err := s.TryGetOrPutBytes([]byte("other")); found || err != nil || *p != 0 {
		t.Error("TryGetOrPutBytes")
	}
	p, had := s.PtrBytes(key), s.HasBytes(key)
	if p == nil || *p != 1 || !had || !x.HasBytes(key) || s.PtrBytes([]byte("none")) != nil || x.HasBytes([]byte("none")) {
		t.Error("PtrBytes and HasBytes")
	}
	for i, put := range []bool{
		!s.PutIfAbsentBytes(key, 2), s.PutIfAbsentBytes([]byte("new"), 3),
		!x.PutIfAbsentBytes(key, nil), x.PutIfAbsentBytes([]byte("new"), []byte("v")),
	} {
		if !put {
			t.Errorf("PutIfAbsentBytes %d", i)
		}
	}
	if v, _ := s.DeleteBytes([]byte("new")); v != 3 {
		t.Errorf("%d", v)
	}
	if v, _ := x.DeleteBytes([]byte("new")); v != "v" {
		t.Errorf("%q", v)
	}
	if v, _ := x.Get("key"); v != "value" {
		t.Errorf("%q", v)
	}
	key[0] = 'h' // the maps have copied it
	if deleted(s.DeleteBytes(key)) || deleted(x.DeleteBytes(key)) || !deleted(s.DeleteBytes([]byte("key"))) || !deleted(x.DeleteBytes([]byte("key"))) || s.Len() != 1 || x.Len() != 0 {
		t.Error("DeleteBytes")
	}
}

// deleted returns the second result of Delete.
func deleted[V any](_ V, ok bool) bool { return ok }
