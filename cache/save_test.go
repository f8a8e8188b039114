package cache

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/internal/percpu"
)

// saveOf returns the save of a cache.
func saveOf(t testing.TB, c *Text) []byte {
	t.Helper()
	var b bytes.Buffer
	if n, err := c.SaveTo(&b); err != nil || n != c.Len() {
		t.Fatalf("%d entries of %d were saved: %v", n, c.Len(), err)
	}
	return b.Bytes()
}

// A loaded cache has the same entries, with the rest of their TTLs, in the same queues.
func TestSaveAndLoad(t *testing.T) {
	now := time.Unix(0, 0)
	for _, sliding := range []bool{false, true} {
		o := Options{MaxBytes: 4 << 20, Sliding: sliding, Now: func() time.Time { return now }}
		from, to := open(t, o, 4), open(t, o, 2)
		for i := range 2000 {
			if err := from.SetWithTTL(fmt.Sprint(i), valueOf(i, i%2000), time.Duration(i%4)*time.Hour); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				from.Get(nil, fmt.Sprint(i))
			}
		}
		from.Set("", nil)
		from.SetWithTTL("expired", nil, time.Minute)
		now = now.Add(30 * time.Minute)
		var b bytes.Buffer
		if n, err := from.SaveTo(&b); n != 2001 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		to.Set("7", valueOf(7, 3)) // it stays
		now = now.Add(24 * time.Hour)
		if n, err := to.LoadFrom(&b); n != 2000 || err != nil || b.Len() != 0 {
			t.Fatalf("%d, %v, %d bytes are left", n, err, b.Len())
		}
		to.c.verify(t)
		for i := range 2000 {
			key := fmt.Sprint(i)
			s := to.c.shardOf(to.hash(key))
			e := s.find(to.hash(key), key).entry()
			other := from.c.shardOf(from.hash(key)).find(from.hash(key), key).entry()
			n := i % 2000
			if i == 7 {
				n = 3
			} else if e.uses() != other.uses() || e.main() != other.main() {
				t.Fatalf("%d: %d uses, main %v; before %d, %v", i, e.uses(), e.main(), other.uses(), other.main())
			}
			if !bytes.Equal(e.value(1), valueOf(i, n)) {
				t.Fatalf("%d: a wrong value", i)
			}
			if i == 7 || i%4 == 0 {
				if e.has(hasTTL) {
					t.Fatalf("%d has a TTL", i)
				}
				continue
			}
			rest := time.Duration(i%4)*time.Hour - 30*time.Minute
			if i%10 == 0 && sliding {
				rest = time.Duration(i%4)*time.Hour - 30*time.Minute
			}
			if got := time.Duration(e.extra().deadline - to.c.now()); got != rest || sliding && time.Duration(*e.ttl()) != time.Duration(i%4)*time.Hour {
				t.Fatalf("%d: %v are left, want %v", i, got, rest)
			}
		}
		now = now.Add(-24*time.Hour - 30*time.Minute)
	}
}

// The format does not change without a new version.
func TestTheFormat(t *testing.T) {
	now := time.Unix(0, 0)
	c := open(t, Options{MaxBytes: 2 << 20, Now: func() time.Time { return now }}, 1)
	c.SetWithTTL("key", []byte("value"), time.Minute)
	c.Get(nil, "key")
	now = now.Add(time.Second)
	b := []byte("gcache\r\n\x01\x00\x00\x00\x04\x00\x00\x00text")
	sum := func() { b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) }
	sum()
	b = append(b, 1, 1<<1, 3, 0, 0, 0, 5, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(59*time.Second))
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = append(b, "keyvalue"...)
	b = append(b, 3, 1, 0, 0, 0, 0, 0, 0, 0)
	sum()
	if got := saveOf(t, c); !bytes.Equal(got, b) {
		t.Errorf("the save is\n%swant\n%s", hex.Dump(got), hex.Dump(b))
	}
}

// A save that is damaged or cut is refused with the position, and changes nothing.
func TestDamagedSaves(t *testing.T) {
	from, entries := open(t, Options{MaxBytes: 2 << 20}, 1), 20
	if testing.Short() || percpu.Race {
		entries = 5
	}
	for i := range entries {
		from.SetWithTTL(fmt.Sprint(i), valueOf(i, i*10), time.Duration(i%3)*time.Hour)
	}
	save := saveOf(t, from)
	c := open(t, Options{MaxBytes: 2 << 20}, 1)
	c.Set("before", []byte("v"))
	want := c.Stats()
	refused := func(b []byte, what string, at int) {
		t.Helper()
		n, err := c.LoadFrom(bytes.NewReader(b))
		version := at >= 8 && at < 12
		if n != 0 || !errors.Is(err, ErrDamaged) && (!version || !errors.Is(err, errors.ErrUnsupported)) {
			t.Fatalf("%s at %d: %d, %v", what, at, n, err)
		}
		var pos int
		if _, scan := fmt.Sscanf(err.Error(), ErrDamaged.Error()+": byte %d: ", &pos); errors.Is(err, ErrDamaged) && (scan != nil || pos > len(b)) {
			t.Fatalf("%s at %d: no position in %q", what, at, err)
		}
		if what == "cut" && (pos != at || !errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Fatalf("cut at %d: %v", at, err)
		}
		if got := c.Stats(); got.Entries != 1 || got.Used != want.Used || got.Evicted != 0 || got.Sets != 1 {
			t.Fatalf("%s at %d has changed the cache: %+v", what, at, got)
		}
	}
	for i := range save {
		refused(save[:i], "cut", i)
		for _, x := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(save)
			b[i] ^= x
			refused(b, "changed", i)
		}
		if i > 0 && save[i] != save[i-1] {
			refused(append(bytes.Clone(save[:i]), save[i-1:]...), "longer", i)
		}
	}
	if n, err := c.LoadFrom(bytes.NewReader(save)); n != entries || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Of a save that is larger than the cache, the entries of the main queue are loaded first.
func TestLargeSaves(t *testing.T) {
	if percpu.Race {
		t.Skip("it is long, and has one goroutine")
	}
	from := open(t, Options{MaxBytes: 6 << 20}, 0)
	for i := range 15_000 {
		from.Set(fmt.Sprint(i), valueOf(i, i%300))
		if i%20 == 0 {
			from.Get(nil, fmt.Sprint(i))
		}
	}
	for i := range 6 << 20 / 300 { // moves what was used to the main queue
		from.Set(fmt.Sprint("new", i), make([]byte, 100))
	}
	mainLen := 0
	for i := range from.c.shards {
		mainLen += from.c.shards[i].main.len
	}
	save := saveOf(t, from)
	for name, o := range map[string]Options{
		"bytes":     {MaxBytes: 3 << 20},
		"allocator": {MaxBytes: 1 << 20, Allocator: tracked(t)},
		"entries":   {MaxBytes: 12 << 20, MaxEntries: 100},
		"cost":      {MaxBytes: 12 << 20, MaxCost: 1000, Cost: func(_ string, v []byte) int64 { return int64(len(v)) }},
	} {
		c := open(t, o, 2)
		n, err := c.LoadFrom(bytes.NewReader(save))
		s := c.Stats()
		if err != nil || int(s.Entries)+int(s.Evicted) != n || int(s.Evicted) > n/50 || n == 0 {
			t.Errorf("%s: %d, %v: %+v", name, n, err, s)
		}
		if o.Cost == nil && o.MaxEntries == 0 && s.Used < s.Limit*2/3 {
			t.Errorf("%s: only %d bytes of %d are used: %+v", name, s.Used, s.Limit, s)
		}
		inMain := 0
		for i := range c.c.shards {
			inMain += c.c.shards[i].main.len
		}
		if mainLen < 200 || inMain < min(mainLen, int(s.Entries))*9/10 && o.Cost == nil {
			t.Errorf("%s: %d entries of the main queue are left of %d", name, inMain, mainLen)
		}
		c.c.verify(t)
	}
}

// If no memory is left for an entry, it is left out.
func TestLoadWithoutMemory(t *testing.T) {
	from := open(t, Options{MaxBytes: 2 << 20}, 1)
	for i := range 100 {
		from.Set(fmt.Sprint(i), valueOf(i, 10*i))
	}
	save := saveOf(t, from)
	for n := range uint64(110) {
		for _, fault := range []alloctest.Fault{alloctest.At(n + 1), alloctest.After(n)} {
			a := alloctest.Fail(tracked(t), fault)
			o := Options{MaxBytes: 256 << 10, Allocator: a}
			c, err := newCore(&o, 1)
			if err != nil {
				continue
			}
			x := &Text{c: c}
			loaded, err := x.LoadFrom(bytes.NewReader(save))
			if err != nil || loaded > 100 || loaded != x.Len() {
				t.Errorf("%d, %v, %d entries, with %d failures", loaded, err, x.Len(), a.Failures())
			}
			for key, v := range x.All() {
				var k int
				if fmt.Sscan(key, &k); !isValue(k, v) {
					t.Errorf("%q has a wrong value", key)
				}
			}
			c.verify(t)
			x.Close()
		}
	}
}

// Readers and writers may do what they are allowed to, and fail.
func TestSavesAndStreams(t *testing.T) {
	from := open(t, Options{MaxBytes: 4 << 20}, 1)
	for i := range 100 {
		from.Set(fmt.Sprint(i), valueOf(i, 20*i))
	}
	save := saveOf(t, from)
	bad := errors.New("bad")
	for i, r := range []io.Reader{
		iotest.OneByteReader(bytes.NewReader(save)),
		iotest.HalfReader(bytes.NewReader(save)),
		iotest.DataErrReader(bytes.NewReader(save)),
		io.MultiReader(bytes.NewReader(save), iotest.ErrReader(bad)),
	} {
		c := open(t, Options{MaxBytes: 4 << 20}, 2)
		if n, err := c.LoadFrom(r); n != 100 || err != nil {
			t.Errorf("reader %d: %d, %v", i, n, err)
		}
	}
	c := open(t, Options{MaxBytes: 4 << 20}, 2)
	for at := 0; at < len(save); at += 997 {
		n, err := c.LoadFrom(io.MultiReader(bytes.NewReader(save[:at]), iotest.ErrReader(bad)))
		if n != 0 || !errors.Is(err, bad) || errors.Is(err, ErrDamaged) || c.Len() != 0 || c.Stats().Unlinked != 0 {
			t.Fatalf("a reader that fails at %d: %d, %v, %d entries", at, n, err, c.Len())
		}
		if n, err := from.SaveTo(&limited{left: at, err: bad}); n != 0 || !errors.Is(err, bad) {
			t.Fatalf("a writer that fails at %d: %d, %v", at, n, err)
		}
	}
	two := bufio.NewReader(io.MultiReader(bytes.NewReader(save), strings.NewReader("rest")))
	if n, err := c.LoadFrom(two); n != 100 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if rest, err := io.ReadAll(two); string(rest) != "rest" || err != nil {
		t.Errorf("%q is left", rest)
	}
	from.Close()
	if _, err := from.SaveTo(io.Discard); err != ErrClosed {
		t.Error(err)
	}
	if _, err := from.LoadFrom(bytes.NewReader(save)); err != ErrClosed {
		t.Error(err)
	}
}

// limited is a writer that fails after some bytes.
type limited struct {
	left int
	err  error
}

func (w *limited) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

func TestTypedSaves(t *testing.T) {
	from, err := New(OptionsOf[place, [3]uint32]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	for i := range 100 {
		from.Set(place{int8(i), float64(i)}, [3]uint32{uint32(i)})
	}
	var b bytes.Buffer
	if n, err := from.SaveTo(&b); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	save := b.Bytes()
	type same struct {
		a int8
		b float64
	}
	to, err := New(OptionsOf[same, [3]uint32]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if n, err := to.LoadFrom(bytes.NewReader(save)); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	for i := range 100 {
		if v, ok := to.Get(same{int8(i), float64(i)}); !ok || v != [3]uint32{uint32(i)} {
			t.Errorf("%d: %v, %v", i, v, ok)
		}
	}
	other, err := New(OptionsOf[place, [3]int32]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if n, err := other.LoadFrom(bytes.NewReader(save)); n != 0 || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "uint32") {
		t.Errorf("%d, %v", n, err)
	}
	text := open(t, Options{MaxBytes: 2 << 20}, 1)
	if n, err := text.LoadFrom(bytes.NewReader(save)); n != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%d, %v", n, err)
	}
	alien := bytes.Replace(save, []byte("little endian"), []byte("xxxxxx endian"), 1)
	alien = mend(bytes.Replace(alien, []byte("big endian"), []byte("xxx endian"), 1))
	if n, err := from.LoadFrom(bytes.NewReader(alien)); n != 0 || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "endian") {
		t.Errorf("%d, %v", n, err)
	}
	if a, b := kindOf[[1000]place, int](), kindOf[[1001]place, int](); a == b || kindOf[int64, uint8]() == kindOf[uint64, uint8]() {
		t.Error("two kinds are the same")
	}
	type many struct {
		a, b, c, d, e, f, g, h, i, j [9]struct{ x, y, z struct{ a, b, c, d int8 } }
	}
	type more struct {
		a, b, c, d, e, f, g, h, i, j [9]struct{ x, y, z struct{ a, b, c, d uint8 } }
	}
	if a, b := kindOf[many, many](), kindOf[many, more](); a == b || len(a) > 2*longKind {
		t.Errorf("two long kinds are the same, or too long: %d", len(a))
	}
}

// Saves of a cache that is in use have whole values, and can be loaded by one that is in use.
func TestSavesWhileInUse(t *testing.T) {
	c, to := open(t, Options{MaxBytes: 2 << 20}, 4), open(t, Options{MaxBytes: 3 << 19, TTL: time.Second}, 4)
	calls := 1000
	if testing.Short() {
		calls = 200
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() { hammer(t, c, rand.New(rand.NewPCG(uint64(g), 2)), calls) })
		wg.Go(func() { hammer(t, to, rand.New(rand.NewPCG(uint64(g), 3)), calls) })
	}
	for range 10 {
		var b bytes.Buffer
		n, err := c.SaveTo(&b)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := to.LoadFrom(&b)
		if err != nil || loaded > n {
			t.Fatalf("%d of %d, %v", loaded, n, err)
		}
		to.c.verifyLimit(t)
	}
	wg.Wait()
	for key, v := range to.All() {
		var k int
		if fmt.Sscan(key, &k); !isValue(k, v) {
			t.Errorf("%q has a wrong value", key)
		}
	}
	to.c.verify(t)
}

// Close ends a LoadFrom that is waiting for its reader, once that returns.
func TestCloseWhileLoading(t *testing.T) {
	from := open(t, Options{MaxBytes: 2 << 20}, 1)
	for i := range 100 {
		from.Set(fmt.Sprint(i), nil)
	}
	save := saveOf(t, from)
	c := open(t, Options{MaxBytes: 2 << 20, Allocator: tracked(t)}, 1)
	r, w := io.Pipe()
	closed := make(chan bool)
	go func() {
		w.Write(save[:1000])
		go func() { c.Close(); close(closed) }()
		for !c.c.closed.Load() { // nothing signals that Close has begun
			time.Sleep(time.Millisecond)
		}
		w.Write(save[1000:])
		w.Close()
	}()
	if n, err := c.LoadFrom(r); n != 0 || err != ErrClosed {
		t.Errorf("%d, %v", n, err)
	}
	r.Close()
	<-closed
}

// mend corrects the checks of a save, up to where it has no longer the form of one.
func mend(b []byte) []byte {
	b = bytes.Clone(b)
	i := 0
	skip := func(n int) bool {
		i += n
		return n >= 0 && i <= len(b)
	}
	check := func() bool {
		if i+4 > len(b) {
			return false
		}
		binary.LittleEndian.PutUint32(b[i:], crc32.Checksum(b[:i], castagnoli))
		i += 4
		return true
	}
	if !skip(16) || !skip(int(binary.LittleEndian.Uint32(b[12:])%maxKind)) || !check() {
		return b
	}
	for i < len(b) {
		switch b[i] {
		case recordEntry:
			if !skip(1 + entryRecord) {
				return b
			}
			lengths := b[i-entryRecord+1:]
			key, value := binary.LittleEndian.Uint32(lengths), binary.LittleEndian.Uint32(lengths[4:])
			if key > 1<<20 || value > 1<<20 || !skip(int(key+value)) {
				return b
			}
		case recordCheck:
			if i++; !check() {
				return b
			}
		default:
			if !skip(9) || !check() {
				return b
			}
		}
	}
	return b
}

// FuzzLoad loads bytes, half of the time with correct checks.
func FuzzLoad(f *testing.F) {
	c := open(f, Options{MaxBytes: 2 << 20}, 1)
	f.Add(true, saveOf(f, c))
	for i := range 4 {
		c.SetWithTTL(fmt.Sprint(i), valueOf(i, i*10), time.Duration(i)*time.Hour)
		f.Add(i%2 == 0, saveOf(f, c))
	}
	f.Fuzz(func(t *testing.T, correct bool, data []byte) {
		if correct {
			data = mend(data)
		}
		now := time.Now()
		o := Options{MaxBytes: 128 << 10, Allocator: tracked(t), Now: func() time.Time { return now }}
		c := open(t, o, 2)
		before := c.Stats().Used
		n, err := c.LoadFrom(bytes.NewReader(data))
		if err != nil && (n != 0 || c.Len() != 0 || c.Stats().Used != before) || err == nil && c.Len() > n {
			t.Fatalf("%d, %v, %d entries", n, err, c.Len())
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		c.c.verify(t)
		if err == nil {
			again := open(t, o, 1)
			if _, err := again.LoadFrom(bytes.NewReader(saveOf(t, c))); err != nil {
				t.Fatal(err)
			}
		}
	})
}
