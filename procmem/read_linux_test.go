package procmem_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/galloc-go/galloc/procmem"
)

const (
	programVar = "GALLOC_TEST_PROCMEM"
	size       = 48 << 20 // of what each program has
	page       = 4096
)

// touch writes to each page of b.
func touch(b []byte) []byte {
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	return b
}

// block allocates size bytes, and writes to them.
func block(a galloc.Allocator) []byte {
	return touch(galloc.Must(a.Allocate(galloc.Must(galloc.NewLayout(size, 8)))))
}

var keep []any

// recurse takes some 64 KiB of stack, then says so and waits.
func recurse(n int, ready, end chan bool) byte {
	var frame [8 << 10]byte
	frame[n] = 1
	if n == 0 {
		ready <- true
		<-end
		return frame[0]
	}
	return frame[n] + recurse(n-1, ready, end)
}

// programs have size bytes more in the part that they return.
var programs = map[string]func(t *testing.T) func(*procmem.Snapshot) uint64{
	"Go heap": func(*testing.T) func(*procmem.Snapshot) uint64 {
		keep = append(keep, touch(make([]byte, size)))
		return func(s *procmem.Snapshot) uint64 { return s.GoHeapInUse }
	},
	"Go heap free": func(*testing.T) func(*procmem.Snapshot) uint64 {
		b := touch(make([]byte, size))
		runtime.KeepAlive(b)
		runtime.GC()
		return func(s *procmem.Snapshot) uint64 { return s.GoHeapFree }
	},
	"goroutines": func(*testing.T) func(*procmem.Snapshot) uint64 {
		ready, end := make(chan bool), make(chan bool)
		for range size / (70 << 10) { // the part of a stack of 128 KiB that is written to
			go recurse(7, ready, end)
			<-ready
		}
		return func(s *procmem.Snapshot) uint64 { return s.GoStacks }
	},
	"mapped files": func(t *testing.T) func(*procmem.Snapshot) uint64 {
		f := galloc.Must(os.Create(filepath.Join(t.TempDir(), "file")))
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		touch(b)
		return func(s *procmem.Snapshot) uint64 { return s.MappedFiles }
	},
	// With cgo, System is C's malloc.
	"C": func(*testing.T) func(*procmem.Snapshot) uint64 {
		block(galloc.System)
		return func(s *procmem.Snapshot) uint64 { return s.Other }
	},
	"galloc live": func(*testing.T) func(*procmem.Snapshot) uint64 {
		block(galloc.Global)
		return func(s *procmem.Snapshot) uint64 { return s.GallocLive }
	},
	"galloc free": func(*testing.T) func(*procmem.Snapshot) uint64 {
		var all [][]byte
		l := galloc.Must(galloc.NewLayout(page, 8))
		for range size / page {
			all = append(all, touch(galloc.Must(galloc.Global.Allocate(l))))
		}
		for i, b := range all {
			if i%2 == 0 { // so that no page becomes wholly free
				galloc.Global.Deallocate(unsafe.Pointer(&b[0]), l)
			}
		}
		return func(s *procmem.Snapshot) uint64 { return 2 * s.GallocFree }
	},
	"galloc other": func(*testing.T) func(*procmem.Snapshot) uint64 {
		h := galloc.Must(heap.New(heap.Options{}))
		keep = append(keep, h)
		block(h)
		return func(s *procmem.Snapshot) uint64 { return s.GallocOther }
	},
}

// sum returns the sum of the parts.
func sum(s *procmem.Snapshot) (n uint64) {
	for _, p := range s.Parts() {
		n += p.Bytes
	}
	return n
}

// TestProgram is one of the programs, run in a child process. The parts sum to what the kernel
// reports, within 3 %, and the part of the program has grown as much as it should.
func TestProgram(t *testing.T) {
	name := os.Getenv(programVar)
	if name == "" {
		t.Skip("it is run by TestPartsOfPrograms")
	}
	galloc.RegisterGlobal(heap.Default())
	before := galloc.Must(procmem.Read())
	part := programs[name](t)
	after := galloc.Must(procmem.Read())
	_, kernel := rss.Peak()
	if sum(after) != after.Resident {
		t.Errorf("the parts sum to %d bytes of %d", sum(after), after.Resident)
	}
	if d := float64(after.Resident) - float64(kernel); d < -0.03*float64(kernel) || d > 0.03*float64(kernel) {
		t.Errorf("%d bytes are resident, and the kernel says %d", after.Resident, kernel)
	}
	grown := float64(part(after)) - float64(part(before))
	if strings.HasPrefix(name, "galloc") && vm.GoMemory {
		if s := after; s.GallocLive+s.GallocCached+s.GallocFree+s.GallocMetadata+s.GallocOther != 0 {
			t.Error("a part of galloc is not 0, but its memory is Go memory")
		}
	} else if vm.GoMemory && name == "C" {
		t.Log("System may be Go memory in this build")
	} else if low, high := 0.9*size, 1.06*size; grown < low || grown > high {
		t.Errorf("the part has grown by %.0f bytes, not by %d:\n%v%v", grown, size, before, after)
	}
}

func TestPartsOfPrograms(t *testing.T) {
	for name := range programs {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProgram$", "-test.v")
			cmd.Env = append(os.Environ(), programVar+"="+name, "GALLOC=", "GOGC=off", "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestProgram")) {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// Another process can be read too, and what its files and its code take is the same from outside.
func TestReadProcess(t *testing.T) {
	inside := galloc.Must(procmem.Read())
	s, err := procmem.ReadProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if sum(s) != s.Resident || s.Code == 0 || s.Anonymous == 0 {
		t.Errorf("the parts are\n%v", s)
	}
	if a, b := float64(s.Code), float64(inside.Code); a < b/1.5 || a > b*1.5 {
		t.Errorf("the code is %v, or %v bytes", a, b)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if s, err := procmem.ReadProcess(pid); err == nil || !strings.HasPrefix(err.Error(), "galloc/procmem: ") {
			t.Errorf("process %d: %v, %v", pid, s, err)
		}
	}
}

// A profiler in front of the global heap adds its sites, and pprof's sum is the resident memory.
func TestSitesAndPprof(t *testing.T) {
	const sitesVar = programVar + "_SITES"
	if os.Getenv(sitesVar) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSitesAndPprof$")
		cmd.Env = append(os.Environ(), sitesVar+"=1", "GALLOC=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	galloc.RegisterGlobal(heapprof.New(heap.Default(), heapprof.Options{Rate: 1}))
	block(galloc.Global)
	s := galloc.Must(procmem.Read())
	if vm.GoMemory {
		return
	}
	if len(s.Sites) == 0 || !strings.Contains(s.Sites[0].Place, "procmem_test.block ") || s.Sites[0].Bytes < size*9/10 {
		t.Errorf("the sites are %+v", s.Sites)
	}
	if err := exec.Command("go", "tool", "-n", "pprof").Run(); err != nil {
		t.Skip("there is no go tool pprof here: ", err)
	}
	f := galloc.Must(os.Create(filepath.Join(t.TempDir(), "resident.pb.gz")))
	if _, err := s.WriteProfile(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "pprof", "-top", "-cum", "-nodefraction=0", "-unit=B", f.Name()).CombinedOutput()
	text := string(out)
	for _, want := range []string{
		"Type: resident", "of " + strconv.FormatUint(s.Resident, 10) + "B total", "galloc live\n", "code and data\n",
		"procmem_test.block\n",
	} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%q is missing, or %v:\n%s", want, err, text)
		}
	}
}

// BenchmarkRead reads the memory of a process with some hundred resident megabytes in galloc's
// heap.
func BenchmarkRead(b *testing.B) {
	for _, mb := range []int{0, 512} {
		b.Run("MB="+strconv.Itoa(mb), func(b *testing.B) {
			if mb > 0 {
				l := galloc.Must(galloc.NewLayout(uintptr(mb)<<20, 8))
				p := touch(galloc.Must(galloc.Global.Allocate(l)))
				defer galloc.Global.Deallocate(unsafe.Pointer(&p[0]), l)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := procmem.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
