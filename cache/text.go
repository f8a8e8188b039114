package cache

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/galloc-go/galloc/internal/block"
)

// Text is a cache of byte slices under strings: see the package comment. Keys have up to 2 MiB, and
// values less than 4 GiB; both may be empty. The methods with Bytes in their names take the key as
// a byte slice, which they neither change nor keep. All methods are safe for concurrent use.
type Text struct {
	_ block.NoCopy
	c *core
}

// NewText returns a cache. If the options contradict themselves, or MaxBytes is too small, it
// returns an error that says what to change. The caller must call Close.
func NewText(o Options) (*Text, error) {
	c, err := newCore(&o, 0)
	if err != nil {
		return nil, err
	}
	return &Text{c: c}, nil
}

func (t *Text) hash(key string) uint64 { return maphash.String(t.c.seed, key) }

// Get appends the value of key to buf, and returns the extended buffer; ok reports whether key is
// present. It allocates Go memory only if the capacity of buf does not suffice.
func (t *Text) Get(buf []byte, key string) (value []byte, ok bool) {
	return t.c.get(buf, t.hash(key), key, true)
}

// GetBytes is [Text.Get] for a key in a byte slice.
func (t *Text) GetBytes(buf, key []byte) (value []byte, ok bool) { return t.Get(buf, viewOf(key)) }

// View calls f with the value of key, without copying it, and reports whether key is present. f
// must neither change the value nor keep it. It may call methods of the cache, except Close. The
// memory of the value is not available for other entries until f returns, even if the entry has
// been removed.
func (t *Text) View(key string, f func(value []byte)) bool { return t.c.view(t.hash(key), key, f) }

// ViewBytes is [Text.View] for a key in a byte slice.
func (t *Text) ViewBytes(key []byte, f func(value []byte)) bool { return t.View(viewOf(key), f) }

// Has reports whether key is present. It does not count as a use of the entry.
func (t *Text) Has(key string) bool { return t.c.has(t.hash(key), key) }

// HasBytes is [Text.Has] for a key in a byte slice.
func (t *Text) HasBytes(key []byte) bool { return t.Has(viewOf(key)) }

// Set sets the value of key to a copy of value. The entry lives for Options.TTL.
//
// If the entry can never fit, the error is [ErrTooLarge]; after Close it is [ErrClosed]. If there
// is no memory although all other entries have been evicted, because the system has none or because
// other goroutines hold it, the error wraps galloc.ErrOutOfMemory. If Set fails, the old value of
// key is unchanged, but may have been evicted.
func (t *Text) Set(key string, value []byte) error {
	return t.SetWithTTL(key, value, time.Duration(t.c.ttl))
}

// SetBytes is [Text.Set] for a key in a byte slice.
func (t *Text) SetBytes(key, value []byte) error { return t.Set(viewOf(key), value) }

// SetWithTTL is [Text.Set] for an entry that lives for ttl, or forever if ttl is 0. If ttl is
// negative, the entry is deleted.
func (t *Text) SetWithTTL(key string, value []byte, ttl time.Duration) error {
	return t.c.set(t.hash(key), key, value, ttl)
}

// SetBytesWithTTL is [Text.SetWithTTL] for a key in a byte slice.
func (t *Text) SetBytesWithTTL(key, value []byte, ttl time.Duration) error {
	return t.SetWithTTL(viewOf(key), value, ttl)
}

// Delete removes the entry of key, and reports whether key was present.
func (t *Text) Delete(key string) bool { return t.c.delete(t.hash(key), key) }

// DeleteBytes is [Text.Delete] for a key in a byte slice.
func (t *Text) DeleteBytes(key []byte) bool { return t.Delete(viewOf(key)) }

// GetOrLoad appends the value of key to buf, as [Text.Get] does. If key is absent, it calls load
// and sets the value that load returns; one load runs for a key at a time, and other calls for the
// key wait for it, or until their ctx ends. An error of load is returned to all of them, and is not
// kept; but if load fails because the ctx of its caller ended, or if it panics, another call
// continues with its own. load must not change the value after it has returned it.
//
// If key is set or deleted while load runs, the value is returned, but not kept. The same is true
// if there is no memory for it. A call costs some Go memory if it loads or waits.
func (t *Text) GetOrLoad(ctx context.Context, buf []byte, key string,
	load func(ctx context.Context, key string) ([]byte, error),
) ([]byte, error) {
	return t.c.getOrLoad(ctx, buf, t.hash(key), key, func(ctx context.Context) ([]byte, error) { return load(ctx, key) })
}

// Range calls f for each entry, until f returns false. f may keep neither key nor value, but may
// call methods of the cache, except Close. An entry that is in the cache during all of Range is
// visited exactly once; whether Range visits the others, or the old or the new value of a key, is
// undefined. The order is undefined too. It costs a few locks for each 16 entries.
func (t *Text) Range(f func(key string, value []byte) bool) {
	t.c.iterate(func(e *entry) bool { return f(e.key(), e.value(1)) })
}

// All is [Text.Range] as an iterator, an iter.Seq2[string, []byte].
func (t *Text) All() func(yield func(key string, value []byte) bool) { return t.Range }

// Len returns the number of entries, even if they have expired lately.
func (t *Text) Len() int { return t.c.len() }

// Clear removes all entries. Entries that are set while it runs may remain.
func (t *Text) Clear() { t.c.clear() }

// Stats returns the state of the cache. It locks each shard for a moment.
func (t *Text) Stats() Stats { return t.c.stats() }

// Close frees the memory of the cache. It waits for calls that are running, so it must not be
// called by a function that a method of the cache calls. Afterwards keys are absent, and Set fails
// with [ErrClosed]. OnRemove is not called. A second call does nothing.
func (t *Text) Close() { t.c.close() }
