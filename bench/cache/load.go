package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The load is profiles of users, numbered from 0. First the cache is filled at full speed. Then two
// goroutines work at a fixed rate:
//
//   - one looks up users, the newest most often (Zipf's law), checks the values, and allocates some
//     garbage for each, as a request handler does;
//   - the other inserts new users, for each of which the cache evicts the oldest one.
//
// Look-ups are due at fixed times, even if the one before has not ended. So each is timed twice:
// from its start, and from the time when it was due, which is the time that a client sees. If the
// process stops for 10 ms, that is one slow look-up by the first measure, and by the second every
// look-up that had to wait ("coordinated omission", Tene 2013).
//
// While it runs, it allocates nothing but the garbage. Keys and values are built in buffers, as if
// read from a connection.
type load struct {
	seed    uint64
	text    []byte // values are pieces of it
	garbage []byte // the last garbage; a field, so that it is on the heap
}

const (
	minValue, maxValue = 20, 200 // bytes of a value
	textSize           = 1 << 16
	zipfExponent       = 1.1
	pause              = time.Millisecond // between the batches of insertions
)

func newLoad(seed uint64) *load {
	random := rand.New(rand.NewPCG(seed, 0))
	text := make([]byte, textSize)
	for i := range text {
		text[i] = byte('a' + random.IntN(26))
	}
	return &load{seed: seed, text: text}
}

// appendKey appends the key of a user.
func appendKey(dst []byte, user uint64) []byte {
	dst = append(dst, "user:"...)
	dst = strconv.AppendUint(dst, user, 10)
	return append(dst, ":profile"...)
}

// value returns the value of a user.
func (l *load) value(user uint64) []byte {
	// Mix the bits as in splitmix64 (Steele and others 2014).
	h := (user + l.seed) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h ^= h >> 27
	n := minValue + int(h%(maxValue-minValue+1))
	at := int((h >> 32) % (textSize - maxValue))
	return l.text[at : at+n]
}

// fill inserts the first n users, and returns the times. It counts them in done.
func (l *load) fill(c *cache, n int, done *atomic.Int64) (*histogram, error) {
	h := new(histogram)
	var key []byte
	began := time.Now()
	for user := range uint64(n) {
		key = appendKey(key[:0], user)
		value := l.value(user)
		start := time.Since(began)
		if err := c.set(key, value); err != nil {
			return nil, fmt.Errorf("out of memory at entry %s of %s: %w", numberText(int(user)+1), numberText(n), err)
		}
		h.add(time.Since(began) - start)
		done.Add(1)
	}
	return h, nil
}

// service is the result of serve.
type service struct {
	lookups     histogram // from its start
	responses   histogram // from the time when it was due
	inserts     histogram
	hits, wrong uint64
}

// serve is the load of a full cache of n users.
func (l *load) serve(c *cache, n int, s spec) (*service, error) {
	v := new(service)
	var newest atomic.Uint64
	newest.Store(uint64(n) - 1)
	var both sync.WaitGroup
	var failed error
	began := time.Now()
	both.Go(func() { l.lookUp(c, n, s, began, &newest, v) })
	both.Go(func() { failed = l.insert(c, s, began, &newest, &v.inserts) })
	both.Wait()
	return v, failed
}

func (l *load) lookUp(c *cache, n int, s spec, began time.Time, newest *atomic.Uint64, v *service) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(l.seed, 1)), zipfExponent, 1, uint64(n)-1)
	var key, value []byte
	interval := float64(time.Second) / float64(s.Rate)
	for i := int64(0); ; i++ {
		user := newest.Load() - zipf.Uint64()
		key = appendKey(key[:0], user)
		if s.Garbage > 0 {
			l.garbage = make([]byte, s.Garbage)
			copy(l.garbage, l.text) // memory becomes resident when it is written
		}
		due := time.Duration(float64(i) * interval)
		now := time.Since(began)
		for now < due { // time.Sleep would end late
			now = time.Since(began)
		}
		if now >= s.duration() {
			return
		}
		var ok bool
		value, ok = c.get(value[:0], key)
		end := time.Since(began)
		v.lookups.add(end - now)
		v.responses.add(end - due)
		if ok {
			v.hits++
			if !bytes.Equal(value, l.value(user)) {
				v.wrong++
			}
		}
	}
}

func (l *load) insert(c *cache, s spec, began time.Time, newest *atomic.Uint64, h *histogram) error {
	var key []byte
	for i := int64(0); ; {
		now := time.Since(began)
		if now >= s.duration() {
			return nil
		}
		for due := int64(now.Seconds() * float64(s.Rate)); i < due; i++ {
			user := newest.Load() + 1
			key = appendKey(key[:0], user)
			value := l.value(user)
			start := time.Since(began)
			if err := c.set(key, value); err != nil {
				return fmt.Errorf("out of memory when replacing an entry: %w", err)
			}
			end := time.Since(began)
			h.add(end - start)
			newest.Store(user)
			if end >= s.duration() {
				return nil
			}
		}
		time.Sleep(pause)
	}
}
