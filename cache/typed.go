package cache

import (
	"context"
	"hash/maphash"
	"io"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Cache is a cache of values V under keys K: see the package comment. Neither may contain Go
// pointers, so no strings or slices: see [Text]. Keys are equal if == says that they are. All
// methods are safe for concurrent use.
type Cache[K comparable, V any] struct {
	_ block.NoCopy
	c *core
}

// New returns a cache. If K or V contains Go pointers, the error is galloc.ErrPointers. If the
// options contradict themselves, or MaxBytes is too small, the error says what to change. The
// caller must call Close.
func New[K comparable, V any](o OptionsOf[K, V]) (*Cache[K, V], error) {
	if _, err := galloc.MakeSlice[K](galloc.Null, 0); err != nil {
		return nil, err
	}
	if _, err := galloc.MakeSlice[V](galloc.Null, 0); err != nil {
		return nil, err
	}
	inner := Options{
		MaxBytes: o.MaxBytes, MaxEntries: o.MaxEntries, MaxCost: o.MaxCost, TTL: o.TTL,
		Sliding: o.Sliding, Allocator: o.Allocator, Now: o.Now,
	}
	if o.Cost != nil {
		inner.Cost = func(key string, value []byte) int64 {
			return o.Cost(*from[K](bytesOf(key)), *from[V](value))
		}
	}
	if o.OnRemove != nil {
		inner.OnRemove = func(key string, value []byte, why Reason) {
			o.OnRemove(*from[K](bytesOf(key)), *from[V](value), why)
		}
	}
	c, err := newCore(&inner, 0)
	if err != nil {
		return nil, err
	}
	c.align = blockAlign
	if unsafe.Sizeof(*new(K)) > 0 {
		c.same = func(key, other unsafe.Pointer) bool {
			// SAFETY: both are addresses of a K.
			return *(*K)(key) == *(*K)(other)
		}
	}
	return &Cache[K, V]{c: c}, nil
}

// from returns the value whose bytes b are.
func from[T any](b []byte) *T {
	if len(b) == 0 {
		return new(T) // a T of size 0 has no address in the block
	}
	// SAFETY: b has the bytes of a T. Blocks are aligned to 8, and so are keys and values in them.
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}

// memoryOf returns the bytes of *p.
func memoryOf[T any](p *T) []byte {
	// SAFETY: a T has these bytes.
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
}

func (t *Cache[K, V]) hash(key K) uint64 { return maphash.Comparable(t.c.seed, key) }

// Get returns the value of key; ok reports whether key is present.
func (t *Cache[K, V]) Get(key K) (v V, ok bool) {
	_, ok = t.c.get(memoryOf(&v)[:0], t.hash(key), viewOf(memoryOf(&key)), true)
	return v, ok
}

// GetMany appends the values of keys to values, and whether each is present to found, as
// [Text.GetMany] does. The value of an absent key is the zero V.
func (t *Cache[K, V]) GetMany(values []V, found []bool, keys []K) ([]V, []bool) {
	t.c.getMany(len(keys), func(i int) uint64 { return t.hash(keys[i]) },
		func(i int) string { return viewOf(memoryOf(&keys[i])) },
		func(_ int, e *entry) {
			var v V
			if e != nil {
				v = *from[V](e.value(t.c.align))
			}
			values, found = append(values, v), append(found, e != nil)
		})
	return values, found
}

// Has reports whether key is present. It does not count as a use of the entry.
func (t *Cache[K, V]) Has(key K) bool { return t.c.has(t.hash(key), viewOf(memoryOf(&key))) }

// Set sets the value of key to v. The entry lives for the TTL of the options. It fails as
// [Text.Set] does.
func (t *Cache[K, V]) Set(key K, v V) error { return t.SetWithTTL(key, v, time.Duration(t.c.ttl)) }

// SetWithTTL is [Cache.Set] for an entry that lives for ttl, or forever if ttl is 0. If ttl is
// negative, the entry is deleted.
func (t *Cache[K, V]) SetWithTTL(key K, v V, ttl time.Duration) error {
	return t.c.set(t.hash(key), viewOf(memoryOf(&key)), memoryOf(&v), ttl)
}

// Update changes the entry of key in one step, by the result of f, as [Text.Update] does.
func (t *Cache[K, V]) Update(key K, f func(old V, ok bool) (v V, change Change)) error {
	_, err := t.update(key, keepLife, f)
	return err
}

// UpdateWithTTL is [Cache.Update], after which a stored entry lives for ttl, or forever if ttl is
// 0. If ttl is negative, an entry that f wants to store is deleted.
func (t *Cache[K, V]) UpdateWithTTL(key K, ttl time.Duration, f func(old V, ok bool) (v V, change Change)) error {
	_, err := t.update(key, max(ttl, -1), f)
	return err
}

func (t *Cache[K, V]) update(key K, ttl time.Duration, f func(old V, ok bool) (V, Change)) (Change, error) {
	var v, zero V
	return t.c.update(t.hash(key), viewOf(memoryOf(&key)), ttl, func(old *entry) (b []byte, change Change) {
		v = zero
		if old != nil {
			v = *from[V](old.value(t.c.align))
		}
		v, change = f(v, old != nil)
		return hiddenBytes(memoryOf(&v)), change
	})
}

// CompareAndSwap sets the value of key to new if key is present and its value == old, in one step.
// It reports whether it has. The entry keeps its deadline. It fails as [Text.Update] does, and
// panics if the values of V cannot be compared.
func (t *Cache[K, V]) CompareAndSwap(key K, old, new V) (swapped bool, err error) {
	change, err := t.update(key, keepLife, func(v V, ok bool) (V, Change) {
		if !ok || any(v) != any(old) {
			return v, Keep
		}
		return new, Store
	})
	return change == Store, err
}

// CompareAndDelete deletes the entry of key if key is present and its value == old, in one step. It
// reports whether it has.
func (t *Cache[K, V]) CompareAndDelete(key K, old V) (deleted bool) {
	change, _ := t.update(key, keepLife, func(v V, ok bool) (V, Change) {
		if !ok || any(v) != any(old) {
			return v, Keep
		}
		return v, Remove
	})
	return change == Remove
}

// Delete removes the entry of key, and reports whether key was present.
func (t *Cache[K, V]) Delete(key K) bool { return t.c.delete(t.hash(key), viewOf(memoryOf(&key))) }

// GetOrLoad returns the value of key, and calls load if it is absent, as [Text.GetOrLoad] does.
// Keys that are equal, but have other bytes, may be loaded at the same time: 0.0 and -0.0, and
// structs with padding.
func (t *Cache[K, V]) GetOrLoad(ctx context.Context, key K, load func(ctx context.Context, key K) (V, error)) (v V, err error) {
	// The copy is for the loads that are running, which are found by the bytes of the key.
	k := string(memoryOf(&key))
	_, err = t.c.getOrLoad(ctx, memoryOf(&v)[:0], t.hash(key), k, func(ctx context.Context) ([]byte, error) {
		loaded, err := load(ctx, key)
		return memoryOf(&loaded), err
	})
	return v, err
}

// Range calls f for each entry, until f returns false. The rules of [Text.Range] hold.
func (t *Cache[K, V]) Range(f func(key K, v V) bool) {
	t.c.iterate(func(e *entry) bool {
		return f(*from[K](bytesOf(e.key())), *from[V](e.value(t.c.align)))
	})
}

// All is [Cache.Range] as an iterator, an iter.Seq2[K, V].
func (t *Cache[K, V]) All() func(yield func(key K, v V) bool) { return t.Range }

// SaveTo writes all entries to w, as [Text.SaveTo] does. Keys and values are written as they lie in
// memory, so that only a program with types of the same layout, on a machine with the same byte
// order, can load them.
func (t *Cache[K, V]) SaveTo(w io.Writer) (n int, err error) {
	return t.c.save(w, kindOf[K, V](), t.hashOf)
}

// LoadFrom adds the entries that SaveTo has written, as [Text.LoadFrom] does. A save of types with
// another layout, or of another byte order, is refused with errors.ErrUnsupported.
func (t *Cache[K, V]) LoadFrom(r io.Reader) (n int, err error) {
	return t.c.load(r, kindOf[K, V](), int(unsafe.Sizeof(*new(K))), int(unsafe.Sizeof(*new(V))), t.hashOf)
}

// hashOf is hash for a key in a string of its bytes.
func (t *Cache[K, V]) hashOf(key string) uint64 {
	var k K // the string need not be aligned
	block.Copy(unsafe.Pointer(&k), unsafe.Pointer(unsafe.StringData(key)), unsafe.Sizeof(k))
	return t.hash(k)
}

// Len returns the number of entries, even if they have expired lately.
func (t *Cache[K, V]) Len() int { return t.c.len() }

// Clear removes all entries. Entries that are set while it runs may remain.
func (t *Cache[K, V]) Clear() { t.c.clear() }

// Stats returns the state of the cache. It locks each shard for a moment.
func (t *Cache[K, V]) Stats() Stats { return t.c.stats() }

// Close frees the memory of the cache, as [Text.Close] does.
func (t *Cache[K, V]) Close() { t.c.close() }
