//go:build cgo && galloc_jemalloc

package jemalloc_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
)

func readStats(t *testing.T) jemalloc.Stats {
	t.Helper()
	s, err := jemalloc.ReadStats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStatsMoveInTheRightDirection(t *testing.T) {
	const size = 64 << 20
	a, l := jemalloc.Allocator, layout(size, 8)
	before := readStats(t)
	b, err := a.AllocateZeroed(l)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	during := readStats(t)
	a.Deallocate(unsafe.Pointer(&b[0]), l)
	if err := jemalloc.Purge(); err != nil {
		t.Fatal(err)
	}
	after := readStats(t)
	for _, c := range []struct {
		name                  string
		before, during, after uint64
	}{
		{"Allocated", before.Allocated, during.Allocated, after.Allocated},
		{"Active", before.Active, during.Active, after.Active},
		{"Mapped", before.Mapped, during.Mapped, after.Mapped},
		{"Resident", before.Resident, during.Resident, after.Resident},
	} {
		if c.during < c.before+size/2 || c.after > c.during-size/2 {
			t.Errorf("%s: %d, with a block of %d bytes %d, afterwards %d", c.name, c.before, size, c.during, c.after)
		}
	}
	if after.Retained < before.Retained || after.Metadata == 0 {
		t.Errorf("Retained %d, then %d; Metadata %d", before.Retained, after.Retained, after.Metadata)
	}
	if during.Allocated > during.Active || during.Active > during.Mapped || during.Active > during.Resident {
		t.Errorf("%+v", during)
	}
}

func TestPurgeReturnsTheMemoryOfFreePages(t *testing.T) {
	a, l := jemalloc.Allocator, layout(1<<20, 8)
	var blocks [32][]byte
	for i := range blocks {
		blocks[i] = galloc.Must(a.Allocate(l))
		for n := 0; n < len(blocks[i]); n += 4096 {
			blocks[i][n] = 1
		}
	}
	for _, b := range blocks {
		a.Deallocate(unsafe.Pointer(&b[0]), l)
	}
	dirty := readStats(t).Resident
	if err := jemalloc.Purge(); err != nil {
		t.Fatal(err)
	}
	if clean := readStats(t).Resident; clean > dirty-16<<20 {
		t.Errorf("resident: %d, after Purge %d", dirty, clean)
	}
}

func TestControls(t *testing.T) {
	if n, err := jemalloc.ReadControl[uintptr]("arenas.page"); n < 4096 || err != nil {
		t.Errorf("arenas.page = %d, %v", n, err)
	}
	if n, err := jemalloc.ReadControl[uint32]("arenas.narenas"); n == 0 || err != nil {
		t.Errorf("arenas.narenas = %d, %v", n, err)
	}
	if on, err := jemalloc.ReadControl[bool]("config.stats"); !on || err != nil {
		t.Errorf("config.stats = %v, %v", on, err)
	}
	if v, err := jemalloc.ReadControl[string]("version"); v != jemalloc.Version() || v == "" || err != nil {
		t.Errorf("version = %q, %v", v, err)
	}
	old, err := jemalloc.ReadControl[int]("arenas.dirty_decay_ms")
	if err != nil {
		t.Fatal(err)
	}
	if err := jemalloc.WriteControl("arenas.dirty_decay_ms", old+7); err != nil {
		t.Error(err)
	}
	if now, err := jemalloc.ReadControl[int]("arenas.dirty_decay_ms"); now != old+7 || err != nil {
		t.Errorf("arenas.dirty_decay_ms = %d, %v; written was %d", now, err, old+7)
	}
	if err := jemalloc.WriteControl("arenas.dirty_decay_ms", old); err != nil {
		t.Error(err)
	}
	if err := jemalloc.WriteControl("arena.0.dss", "disabled"); err != nil { // as it is
		t.Error(err)
	}
	if s, err := jemalloc.ReadControl[string]("arena.0.dss"); s == "" || err != nil {
		t.Errorf("arena.0.dss = %q, %v", s, err)
	}
	if err := jemalloc.Control("thread.tcache.flush"); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(jemalloc.Allocator.String(), "jemalloc "+jemalloc.Version()) {
		t.Error(jemalloc.Allocator)
	}
}

func TestErrorsNameTheControl(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"no.such", func() error { _, err := jemalloc.ReadControl[uint64]("no.such"); return err }(), syscall.ENOENT},
		{"arenas.page", func() error { _, err := jemalloc.ReadControl[bool]("arenas.page"); return err }(), syscall.EINVAL},
		{"arenas.page", jemalloc.WriteControl("arenas.page", uintptr(1)), syscall.EPERM},
		{"arenas.dirty_decay_ms", jemalloc.WriteControl("arenas.dirty_decay_ms", true), syscall.EINVAL},
		{"arena.0.dss", jemalloc.WriteControl("arena.0.dss", "no such"), syscall.EINVAL},
		{"no.such", jemalloc.Control("no.such"), syscall.ENOENT},
		{"a\x00b", jemalloc.Control("a\x00b"), nil},
		{"arena.0.dss", jemalloc.WriteControl("arena.0.dss", "a\x00b"), nil},
	} {
		var ce *jemalloc.ControlError
		if !errors.As(c.err, &ce) || ce.Name != c.name || !strings.Contains(c.err.Error(), c.name+": ") || ce.Err != c.want {
			t.Errorf("%s: error %v, want a ControlError of %v", c.name, c.err, c.want)
		}
	}
}

// Statistics and controls run while other threads allocate, so that a race crashes or is found by
// the race detector.
func TestControlsWhileOthersAllocate(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			a, l := jemalloc.Allocator, layout(uintptr(100+g*3000), 8)
			for range 3000 {
				a.Dealloc(a.Alloc(l), l)
			}
		})
	}
	for range 30 {
		readStats(t)
		if err := jemalloc.Purge(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestDumpProfileSaysWhatIsMissing(t *testing.T) {
	if on, err := jemalloc.ReadControl[bool]("opt.prof"); on || err != nil {
		t.Skip("profiling is on: ", err)
	}
	err := jemalloc.DumpProfile(filepath.Join(t.TempDir(), "profile"))
	want := "galloc/jemalloc: prof.dump: profiling is off: start the program with MALLOC_CONF=prof:true in its environment"
	if built, _ := jemalloc.ReadControl[bool]("config.prof"); !built {
		want = "galloc/jemalloc: prof.dump: the library was built without profiling: build jemalloc with --enable-prof"
	}
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDumpProfile(t *testing.T) {
	if path := os.Getenv("GALLOC_TEST_PROFILE"); path != "" {
		a, l := jemalloc.Allocator, layout(12345, 8)
		for range 1000 {
			a.Alloc(l)
		}
		runtime.GC() // the collector, and goroutines on other threads, beside sampled blocks
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					p := a.Realloc(a.Alloc(l), l, 100)
					q, _ := a.GrowZeroed(p, layout(100, 8), layout(5000, 8))
					a.Deallocate(unsafe.Pointer(&q[0]), layout(uintptr(len(q)), 8))
				}
			})
		}
		wg.Wait()
		fmt.Println()
		fmt.Println(jemalloc.DumpProfile(path))
		fmt.Println(jemalloc.DumpProfile(path + "/in a file"))
		return
	}
	if built, err := jemalloc.ReadControl[bool]("config.prof"); !built || err != nil {
		t.Skip("the library was built without profiling: ", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "profile")
	cmd := exec.Command(exe, "-test.run", "^TestDumpProfile$")
	// With this, every block is sampled.
	cmd.Env = append(os.Environ(), "GALLOC_TEST_PROFILE="+path, "MALLOC_CONF=prof:true,lg_prof_sample:0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\n<nil>\ngalloc/jemalloc: prof.dump: the file "+path+"/in a file could not be written (") {
		t.Fatalf("%v\n%s", err, out)
	}
	profile, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(profile), "heap_v2/1\n") || !strings.Contains(string(profile), " 1000: ") {
		t.Errorf("%v\n%.300s", err, profile)
	}
}
