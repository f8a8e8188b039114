package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// loads are the calls of GetOrLoad that are running, by key.
type loads struct {
	mu    sync.Mutex
	calls map[string]*load
	n     atomic.Int32 // len(calls)
}

// load is a running call of a loader.
type load struct {
	done  chan struct{} // closed when the other fields are set
	value []byte
	err   error
	stale atomic.Bool // the key was set or deleted after the load had begun
}

// errLoader is the error of a load whose loader has panicked.
var errLoader = errors.New("galloc/cache: the loader has panicked")

// begin returns the load of a key, and whether it is new.
func (l *loads) begin(key string) (*load, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.calls[key]; x != nil {
		return x, false
	}
	if l.calls == nil {
		l.calls = map[string]*load{}
	}
	x := &load{done: make(chan struct{})}
	l.calls[key] = x
	l.n.Add(1)
	return x, true
}

// end removes a load, and wakes the goroutines that wait for it.
func (l *loads) end(key string, x *load) {
	l.mu.Lock()
	delete(l.calls, key)
	l.n.Add(-1)
	l.mu.Unlock()
	close(x.done)
}

// cancel makes the load of a key stale: its value is returned, but not kept. A Set or Delete calls
// it before it locks the shard, where the load checks it.
func (l *loads) cancel(key string) {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.calls[key]; x != nil {
		x.stale.Store(true)
	}
}

// cancelAll is cancel for all keys.
func (l *loads) cancelAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.calls {
		x.stale.Store(true)
	}
}

// getOrLoad appends the value of a key to buf. If it is absent, it comes from the loader f.
func (c *core) getOrLoad(ctx context.Context, buf []byte, hash uint64, key string, f func(context.Context) ([]byte, error)) ([]byte, error) {
	for first := true; ; first = false {
		if c.closed.Load() {
			return buf, ErrClosed
		}
		if all, ok := c.get(buf, hash, key, first); ok {
			return all, nil
		}
		if err := ctx.Err(); err != nil {
			return buf, err
		}
		x, mine := c.loads.begin(key)
		if mine {
			c.run(ctx, x, hash, key, f)
		} else {
			select {
			case <-x.done:
			case <-ctx.Done():
				return buf, ctx.Err()
			}
		}
		if x.err == nil {
			return appendBytes(buf, unsafe.Pointer(unsafe.SliceData(x.value)), len(x.value)), nil
		}
		// The call of another goroutine may have failed for its own reasons.
		if ended := errors.Is(x.err, context.Canceled) || errors.Is(x.err, context.DeadlineExceeded); mine || !ended && x.err != errLoader {
			return buf, x.err
		}
	}
}

// run calls the loader, and keeps the value if there is memory for it.
func (c *core) run(ctx context.Context, x *load, hash uint64, key string, f func(context.Context) ([]byte, error)) {
	x.err = errLoader
	defer c.loads.end(key, x)
	// Since get has missed the key, another call may have loaded it.
	if v, ok := c.get(nil, hash, key, false); ok {
		x.value, x.err = v, nil
		return
	}
	v, err := f(ctx)
	if err == nil {
		// Without room, the value is loaded again.
		_ = c.put(hash, key, v, c.life(time.Duration(c.ttl)), func(*shard) bool { return !x.stale.Load() })
	}
	x.value, x.err = v, err
}
