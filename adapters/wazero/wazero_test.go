package wazero_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	root "github.com/galloc-go/galloc"
	galloc "github.com/galloc-go/galloc/adapters/wazero"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const page = 64 << 10

// limits are the limits of a memory, in pages. max 0 is none.
type limits struct {
	min, max uint32
	shared   bool
}

// binaryOf returns a module with a memory, and functions to grow, load and store.
func binaryOf(l limits) []byte {
	leb := func(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }
	section := func(id byte, body ...byte) []byte {
		return append(append([]byte{id}, leb(uint32(len(body)))...), body...)
	}
	memory := append([]byte{1, 0}, leb(l.min)...)
	if l.max != 0 {
		memory[1] = 1
		memory = append(memory, leb(l.max)...)
	}
	if l.shared {
		memory[1] = 3
	}
	const i32 = 0x7f
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, section(1, 2, 0x60, 1, i32, 1, i32, 0x60, 2, i32, i32, 0)...)
	b = append(b, section(3, 3, 0, 0, 1)...)
	b = append(b, section(5, memory...)...)
	b = append(b, section(7, []byte("\x04\x06memory\x02\x00\x04grow\x00\x00\x04load\x00\x01\x05store\x00\x02")...)...)
	b = append(b, section(10, 3,
		6, 0, 0x20, 0, 0x40, 0, 0x0b, // memory.grow
		7, 0, 0x20, 0, 0x28, 2, 0, 0x0b, // i32.load
		9, 0, 0x20, 0, 0x20, 1, 0x36, 2, 0, 0x0b)...) // i32.store
	return b
}

// A guest is a module of binaryOf.
type guest struct {
	t      testing.TB
	module api.Module
}

func (g guest) call(name string, args ...uint64) (uint64, error) {
	got, err := g.module.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil || len(got) == 0 {
		return 0, err
	}
	return got[0], nil
}

// grow returns the old size in pages, or -1.
func (g guest) grow(pages uint32) int32 {
	g.t.Helper()
	v, err := g.call("grow", uint64(pages))
	if err != nil {
		g.t.Fatal(err)
	}
	return int32(v)
}

func (g guest) load(at uint32) uint64 {
	g.t.Helper()
	v, err := g.call("load", uint64(at))
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

func (g guest) store(at, v uint32) {
	g.t.Helper()
	if _, err := g.call("store", uint64(at), uint64(v)); err != nil {
		g.t.Fatal(err)
	}
}

// An engine is a runtime that makes modules on an allocator, or on wazero's if it is nil.
type engine struct {
	r   wazero.Runtime
	ctx context.Context
}

func newEngine(t testing.TB, a experimental.MemoryAllocator) engine {
	ctx := context.Background()
	c := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesThreads)
	r := wazero.NewRuntimeWithConfig(ctx, c)
	t.Cleanup(func() { r.Close(ctx) })
	return engine{r, experimental.WithMemoryAllocator(ctx, a)}
}

func (e engine) compile(t testing.TB, l limits) wazero.CompiledModule {
	t.Helper()
	c, err := e.r.CompileModule(e.ctx, binaryOf(l))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (e engine) start(t testing.TB, c wazero.CompiledModule) (g guest, err error) {
	err = galloc.Catch(func() error {
		m, err := e.r.InstantiateModule(e.ctx, c, wazero.NewModuleConfig().WithName(""))
		g = guest{t, m}
		return err
	})
	return g, err
}

func (e engine) guest(t testing.TB, l limits) guest {
	t.Helper()
	g, err := e.start(t, e.compile(t, l))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestModule(t *testing.T) {
	for _, shared := range []bool{false, true} {
		a := galloc.New(galloc.Options{})
		e := newEngine(t, a)
		g := e.guest(t, limits{1, 100, shared})
		g.store(page-4, 42)
		first, _ := g.module.Memory().Read(0, 1)
		size := uint32(1)
		for _, n := range []uint32{1, 0, 7, 31, 60} {
			if got := g.grow(n); got != int32(size) {
				t.Errorf("grow by %d pages: %d, want %d", n, got, size)
			}
			size += n
			if got := g.load(size*page - 4); n > 0 && got != 0 {
				t.Errorf("the last word of %d pages is %d", size, got)
			}
			g.store(size*page-4, size)
			if _, err := g.call("load", uint64(size*page)); err == nil {
				t.Error("an access after the end succeeds")
			}
		}
		if got := g.grow(1); got != -1 {
			t.Errorf("grow beyond the maximum: %d", got)
		}
		if v := g.load(page - 4); v != 42 {
			t.Errorf("the first page has %d", v)
		}
		if now, _ := g.module.Memory().Read(0, 1); &now[0] != &first[0] {
			t.Error("the memory has moved")
		}
		want := galloc.Stats{Memories: 1, Size: 100 * page, Peak: 100 * page, Reserved: 128 * page, Grows: 5}
		if s := a.Stats(); s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
		g.module.Close(e.ctx)
		want.Memories, want.Size, want.Reserved = 0, 0, 0
		if s := a.Stats(); s != want {
			t.Errorf("after Close: %+v, want %+v", s, want)
		}
		// A later module finds zeros in the address space of the first.
		g = e.guest(t, limits{100, 100, shared})
		for at := uint32(page - 4); at < 100*page; at += page {
			if v := g.load(at); v != 0 {
				t.Fatalf("a new memory has %d at %d", v, at)
			}
		}
		g.module.Close(e.ctx)
	}
}

// The modules share the limit. A module may grow when another has gone.
func TestLimit(t *testing.T) {
	a := galloc.New(galloc.Options{Limit: 10 * page})
	e := newEngine(t, a)
	g, h := e.guest(t, limits{min: 4}), e.guest(t, limits{min: 4})
	if got := g.grow(3); got != -1 {
		t.Errorf("grow beyond the limit: %d", got)
	}
	if got := g.grow(2); got != 4 {
		t.Errorf("grow to the limit: %d", got)
	}
	c := e.compile(t, limits{min: 1})
	_, err := e.start(t, c)
	if !errors.Is(err, root.ErrLimit) || !strings.Contains(err.Error(), "65536 bytes") {
		t.Errorf("a module that does not fit: %v", err)
	}
	if s := a.Stats(); s.Size != 10*page || s.RefusedLimit != 2 {
		t.Errorf("%+v", s)
	}
	h.module.Close(e.ctx)
	i, err := e.start(t, c)
	if err != nil {
		t.Fatal(err)
	}
	a.SetLimit(6 * page)
	if got := i.grow(1); got != -1 {
		t.Errorf("grow with a lower limit: %d", got)
	}
	a.SetLimit(0)
	if got := i.grow(100); got != 1 {
		t.Errorf("grow without a limit: %d", got)
	}
	e.r.Close(e.ctx)
	for i := 0; a.Stats().Memories != 0 && i < 10; i++ {
		runtime.GC() // the module that did not fit is collected, and its memory after that
		waitForCleanups()
	}
	if s := a.Stats(); s.Memories != 0 || s.Size != 0 || s.Reserved != 0 {
		t.Errorf("after Close: %+v", s)
	}
}

// Catch passes other panics on.
func TestCatch(t *testing.T) {
	defer func() {
		if v := recover(); v != "other" {
			t.Errorf("%v", v)
		}
	}()
	_ = galloc.Catch(func() error { panic("other") })
}

// When the system refuses a call, no module sees a wrong memory, and nothing leaks.
func TestSystemRefuses(t *testing.T) {
	var mu sync.Mutex
	calls, from, failed := 0, 0, false
	defer vm.Inject(func(op vm.Op, _ uintptr) error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls > from && from >= 0 {
			failed = true
			return errors.ErrUnsupported
		}
		return nil
	})()
	for from = 0; ; from++ {
		calls, failed = 0, false
		a := galloc.New(galloc.Options{})
		m := a.Allocate(page, 3<<40) // never a spare one
		var refused bool
		for n := uint64(1); n <= 4; n++ {
			var b []byte
			err := galloc.Catch(func() error { b = m.Reallocate(n * page); return nil })
			refused = refused || err != nil || b == nil
			if err == nil && b != nil {
				if uint64(len(b)) != n*page || b[n*page-1] != 0 {
					t.Fatalf("%d bytes", len(b))
				}
				b[n*page-1] = 1
			} else if err != nil && !errors.Is(err, root.ErrSystem) {
				t.Error(err)
			}
		}
		m.Free()
		if s := a.Stats(); s.Size != 0 || s.Memories != 0 || s.Reserved != 0 || (s.RefusedSystem > 0) != refused {
			t.Errorf("%+v", s)
		}
		if !failed {
			break
		}
	}
	if from < 5 {
		t.Errorf("only %d calls", from)
	}
}

// If address space is short, a memory gets what is there, and grows to its end.
func TestLittleAddressSpace(t *testing.T) {
	restore := vm.Inject(func(op vm.Op, n uintptr) error {
		if op == vm.OpReserve && n > 3<<20 {
			return errors.ErrUnsupported
		}
		return nil
	})
	if err := galloc.ReleaseSpares(); err != nil {
		t.Fatal(err)
	}
	a := galloc.New(galloc.Options{Reserve: 16 << 30})
	m := a.Allocate(page, 1<<34)
	restore()
	if s := a.Stats(); s.Reserved != 2<<20 {
		t.Errorf("%+v", s)
	}
	if b := m.Reallocate(2 << 20); len(b) != 2<<20 || cap(b) != len(b) {
		t.Errorf("%d bytes", len(b))
	}
	if b := m.Reallocate(2<<20 + page); b != nil {
		t.Errorf("%d bytes", len(b))
	}
	m.Free()
}

func TestSizes(t *testing.T) {
	a := galloc.New(galloc.Options{Reserve: 1 << 20})
	m := a.Allocate(0, 0)
	if b := m.Reallocate(0); b == nil || len(b) != 0 {
		t.Error("a memory of size 0")
	}
	if b := m.Reallocate(1); b != nil {
		t.Error("a memory of size 0 grows")
	}
	m.Free()
	m = a.Allocate(0, 1<<60)
	for _, size := range []uint64{0, 1, 5000, 1<<20 - 1, 1 << 20, 100, 1 << 20} {
		b := m.Reallocate(size)
		if uint64(len(b)) != size {
			t.Fatalf("%d bytes, want %d", len(b), size)
		}
		for i, v := range b {
			if v != 0 && i >= 100 {
				t.Fatalf("byte %d of %d is %d", i, size, v)
			}
		}
		if size != 100 {
			for i := range b {
				b[i] = 1
			}
			clear(b[min(100, len(b)):])
			if size == 1<<20 {
				b[size-1] = 1
			}
		}
	}
	m.Free()
	for name, f := range map[string]func(){
		"Free of":       m.Free,
		"Reallocate of": func() { m.Reallocate(1) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "galloc/adapters/wazero: "+name+" a memory that is freed") {
					t.Errorf("%q", got)
				}
			}()
			f()
		}()
	}
	huge := a.Allocate(0, 1<<63)
	err := galloc.Catch(func() error { huge.Reallocate(1 << 63); return nil })
	if !errors.Is(err, root.ErrSystem) {
		t.Error(err)
	}
	huge.Free()
}

// A module that the program forgets is freed.
func TestForgotten(t *testing.T) {
	a := galloc.New(galloc.Options{})
	func() { a.Allocate(page, page).Reallocate(page)[0] = 1 }()
	for i := 0; a.Stats().Memories != 0 && i < 10; i++ {
		runtime.GC()
		waitForCleanups()
	}
	if s := a.Stats(); s.Memories != 0 || s.Size != 0 {
		t.Errorf("%+v", s)
	}
}

// waitForCleanups returns after the cleanups have run that the last collection has queued.
func waitForCleanups() {
	done := make(chan struct{})
	func() { runtime.AddCleanup(new([16]int), func(c chan struct{}) { close(c) }, done) }()
	for {
		runtime.GC()
		select {
		case <-done:
			return
		default:
		}
	}
}

// Many goroutines make, grow and close modules at the same time.
func TestManyModules(t *testing.T) {
	a := galloc.New(galloc.Options{Limit: 40 * page})
	e := newEngine(t, a)
	c := e.compile(t, limits{1, 50, false})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 30 {
				m, err := e.start(t, c)
				if err != nil {
					if !errors.Is(err, root.ErrLimit) {
						t.Error(err)
					}
					continue
				}
				for n := uint32(1); n < 20; n++ {
					if at := n*page - 4; m.load(at) != 0 {
						t.Error("a new page is not zero")
					}
					m.store(n*page-4, uint32(g))
					if m.grow(1) < 0 {
						break
					}
				}
				if m.load(page-4) != uint64(g) {
					t.Error("another module wrote to the memory")
				}
				m.module.Close(e.ctx)
			}
		})
	}
	wg.Wait()
	if s := a.Stats(); s.Size > 0 || s.Peak > 40*page {
		t.Errorf("%+v", s)
	}
}

// An allocator to compare: wazero's own if a is nil.
type named struct {
	name string
	a    experimental.MemoryAllocator
}

var compared = []named{
	{"wazero", nil},
	{"galloc", galloc.New(galloc.Options{})},
	{"galloc-huge", galloc.New(galloc.Options{HugePages: true})},
}

// touch writes to each OS page of m from one page of WebAssembly to another.
func touch(m api.Memory, from, to uint32) {
	for at := from * page; at < to*page; at += 4096 {
		m.WriteByte(at, 1)
	}
}

// Instantiate a module, touch pages of its memory, and close it.
func BenchmarkInstantiate(b *testing.B) {
	for _, k := range []struct{ pages, touched uint32 }{{1, 1}, {16, 16}, {256, 1}, {256, 16}, {256, 256}} {
		for _, c := range compared {
			b.Run(fmt.Sprintf("%dKiB/touched=%dKiB/%s", k.pages*64, k.touched*64, c.name), func(b *testing.B) {
				e := newEngine(b, c.a)
				c := e.compile(b, limits{min: k.pages})
				for b.Loop() {
					g, err := e.start(b, c)
					if err != nil {
						b.Fatal(err)
					}
					touch(g.module.Memory(), 0, k.touched)
					g.module.Close(e.ctx)
				}
			})
		}
	}
}

// Grow a memory from 1 page to 64 MiB, by 16 pages at a time, and touch each.
func BenchmarkGrow(b *testing.B) {
	for _, c := range compared {
		b.Run(c.name, func(b *testing.B) {
			e := newEngine(b, c.a)
			c := e.compile(b, limits{min: 1})
			for b.Loop() {
				g, err := e.start(b, c)
				if err != nil {
					b.Fatal(err)
				}
				for n := uint32(1); n < 1024; n += 16 {
					g.grow(16)
					touch(g.module.Memory(), n, n+16)
				}
				g.module.Close(e.ctx)
			}
		})
	}
}
