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

// The load is that of profiles of users, numbered from 0 on. First the cache is filled, as fast as it goes. Then
// two goroutines work on it at a steady rate each:
//
//   - the one looks up users, the newest ones most often (Zipf's law), compares the values with what they must be, and
//     makes some garbage for each, as whatever handles a request does;
//   - the other inserts new users, for each of which the cache forgets its oldest one.
//
// Look-ups are due at fixed times, whether the one before has ended or not. So each is timed twice: from when it began, and from when
// it was due, as who asked would see it. If the process stands still for 10 ms, that is one slow look-up by the first measure, and
// by the second all those that had to wait ("coordinated omission", Tene 2013).
//
// It takes no memory while it runs, but for the garbage. Keys and values are made in buffers, as they would
// come from a connection.
type load struct {
	seed    uint64
	text    []byte // what values are pieces of
	garbage []byte // the last; it is here so that it must be on the heap
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

// value returns that of a user.
func (l *load) value(user uint64) []byte {
	// A mixing of bits as in splitmix64 (Steele and others 2014).
	h := (user + l.seed) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h ^= h >> 27
	n := minValue + int(h%(maxValue-minValue+1))
	at := int((h >> 32) % (textSize - maxValue))
	return l.text[at : at+n]
}

// fill inserts the first n users, and returns how long each took. It counts them in done.
func (l *load) fill(c *cache, n int, done *atomic.Int64) (*histogram, error) {
	h := new(histogram)
	var key []byte
	began := time.Now()
	for user := range uint64(n) {
		key = appendKey(key[:0], user)
		value := l.value(user)
		start := time.Since(began)
		if err := c.set(key, value); err != nil {
			return nil, fmt.Errorf("there is no memory for entry %s of %s: %w", numberText(int(user)+1), numberText(n), err)
		}
		h.add(time.Since(began) - start)
		done.Add(1)
	}
	return h, nil
}

// service is how the cache did under the load.
type service struct {
	lookups     histogram // from when each began
	responses   histogram // from when each was due
	inserts     histogram
	hits, wrong uint64
}

// serve is the load after the first n users are in the cache, which has as many entries.
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
			copy(l.garbage, l.text) // memory that nobody has written to is not resident
		}
		due := time.Duration(float64(i) * interval)
		now := time.Since(began)
		for now < due { // without sleep, which ends late
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
				return fmt.Errorf("there is no memory for a new entry in place of an old one: %w", err)
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
