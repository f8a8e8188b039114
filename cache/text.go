package cache

import (
	"bytes"
	"context"
	"hash/maphash"
	"io"
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

// GetMany appends the values of keys to buf, one after another. It also appends a slice to values
// for each key: the value, as a part of the returned buffer, or nil if the key is absent. It locks
// each shard once for 32 keys, so that it costs less than as many calls of Get. The values are not
// of one moment.
func (t *Text) GetMany(buf []byte, values [][]byte, keys []string) ([]byte, [][]byte) {
	return t.c.appendMany(buf, values, len(keys),
		func(i int) uint64 { return t.hash(keys[i]) }, func(i int) string { return keys[i] })
}

// GetManyBytes is [Text.GetMany] for keys in byte slices.
func (t *Text) GetManyBytes(buf []byte, values, keys [][]byte) ([]byte, [][]byte) {
	return t.c.appendMany(buf, values, len(keys),
		func(i int) uint64 { return t.hash(viewOf(keys[i])) }, func(i int) string { return viewOf(keys[i]) })
}

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

// Update changes the entry of key in one step. It calls f with the value of key, and ok reports
// whether key is present; then it does what f returns, with a copy of value if that is Store. f may
// neither change nor keep old, but may return a part of it. It may call methods of the cache,
// except Close. The entry keeps its deadline, and a new one lives for Options.TTL.
//
// No lock is held while f runs. If the entry of key changes or is removed while f runs, Update
// calls f again; so f may run several times, and only its last result counts. Update is a use of
// the entry. It fails as [Text.Set] does, and then the entry is unchanged, but may have been
// evicted. It needs memory for the old value and the new one.
func (t *Text) Update(key string, f func(old []byte, ok bool) (value []byte, change Change)) error {
	return t.update(key, keepLife, f)
}

// UpdateBytes is [Text.Update] for a key in a byte slice.
func (t *Text) UpdateBytes(key []byte, f func(old []byte, ok bool) (value []byte, change Change)) error {
	return t.Update(viewOf(key), f)
}

// UpdateWithTTL is [Text.Update], after which a stored entry lives for ttl, or forever if ttl is 0.
// If ttl is negative, an entry that f wants to store is deleted.
func (t *Text) UpdateWithTTL(key string, ttl time.Duration, f func(old []byte, ok bool) (value []byte, change Change)) error {
	return t.update(key, max(ttl, -1), f)
}

func (t *Text) update(key string, ttl time.Duration, f func(old []byte, ok bool) ([]byte, Change)) error {
	_, err := t.c.update(t.hash(key), key, ttl, func(old *entry) ([]byte, Change) {
		if old == nil {
			return f(nil, false)
		}
		return f(old.value(1), true)
	})
	return err
}

// CompareAndSwap sets the value of key to a copy of new if key is present and its value is old, in
// one step. It reports whether it has. The entry keeps its deadline. It fails as [Text.Update]
// does.
func (t *Text) CompareAndSwap(key string, old, new []byte) (swapped bool, err error) {
	change, err := t.c.update(t.hash(key), key, keepLife, func(e *entry) ([]byte, Change) {
		if e == nil || !bytes.Equal(e.value(1), old) {
			return nil, Keep
		}
		return new, Store
	})
	return change == Store, err
}

// CompareAndDelete deletes the entry of key if key is present and its value is old, in one step. It
// reports whether it has.
func (t *Text) CompareAndDelete(key string, old []byte) (deleted bool) {
	change, _ := t.c.update(t.hash(key), key, keepLife, func(e *entry) ([]byte, Change) {
		if e == nil || !bytes.Equal(e.value(1), old) {
			return nil, Keep
		}
		return nil, Remove
	})
	return change == Remove
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

// SaveTo writes all entries to w, with what is left of their TTLs, and returns their number. An
// entry that is in the cache during all of SaveTo is saved once; whether others are, or the old or
// the new value of a key, is undefined. Other methods may run at the same time; entries are pinned,
// about 16 at a time, while they are written. The format is the same on all systems. SaveTo buffers
// 64 KiB. If w fails, n is 0, and what was written is no save.
func (t *Text) SaveTo(w io.Writer) (n int, err error) { return t.c.save(w, textKind, t.hash) }

// LoadFrom reads what SaveTo has written, and adds the entries, with what was left of their TTLs
// then. It returns the number of entries added. A key that is present keeps its value. Nothing is
// evicted: of a save that does not fit, LoadFrom prefers the entries of the main queue, and leaves
// out the others. So it does with entries that exceed the other limits of the options.
//
// If the save is damaged or too short, the error is [ErrDamaged] and says the position in bytes. If
// it is of another version or kind of cache, it is errors.ErrUnsupported. If r fails, it is the
// error of r. In all these cases no entry has been added: the entries take memory of the cache as
// they are read, but appear only after the last checksum has been compared, one after another.
// Checksums detect accidents, not attacks. LoadFrom may read more from r than the save, unless r is
// a *bufio.Reader.
func (t *Text) LoadFrom(r io.Reader) (n int, err error) { return t.c.load(r, textKind, -1, -1, t.hash) }

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
