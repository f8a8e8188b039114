package procmem

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/vm"
)

// Read returns the resident memory of this process. It is a use of the global allocator: after it,
// none can be registered.
//
// The kernel looks at every page that is resident: BenchmarkRead takes some 15 ms for 512 MB,
// unless they are in huge pages. Read takes some 100 KB of Go memory for as long as it runs. Safe
// for concurrent use. Read fails if /proc cannot be read.
func Read() (*Snapshot, error) {
	s := &Snapshot{Time: time.Now(), PID: os.Getpid(), Allocator: galloc.DescribeGlobal()}
	c := readCounters()
	regions := findRegions()
	all, err := mappings("self")
	if err != nil {
		return nil, err
	}
	object := uint64(reflect.ValueOf(new([64]byte)).Pointer())
	s.divide(all, regions, object, &c, pageCounter("/proc/self/pagemap"))
	s.Sites = c.sites(s.GallocLive)
	return s, nil
}

// ReadProcess returns the resident memory of the process with that number. The kernel tells these
// parts apart: Code, MappedFiles, and the stack and heap of C in Other. GoHeapInUse and GoRuntime
// are the memory that the Go runtime has named, which it does if the kernel was built to have
// names; there the free part and the stacks of goroutines are part of GoHeapInUse. All other
// memory, galloc's too, is Anonymous. Reading the process of another user needs privileges.
func ReadProcess(pid int) (*Snapshot, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("galloc/procmem: %d is not the number of a process", pid)
	}
	s := &Snapshot{Time: time.Now(), PID: pid}
	all, err := mappings(strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	s.divideByNames(all)
	return s, nil
}

// mappings returns the mappings of a process.
func mappings(pid string) ([]mapping, error) {
	path := "/proc/" + pid + "/smaps"
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("galloc/procmem: %w", err)
	}
	defer func() { _ = f.Close() }()
	all, err := readSmaps(bufio.NewReaderSize(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("galloc/procmem: %s: %w", path, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("galloc/procmem: %s is empty: the process has ended, or belongs to the kernel", path)
	}
	return all, nil
}

// pageCounter returns a function that counts the resident bytes from one address to another. The
// result of that is ok unless the kernel refuses.
func pageCounter(path string) func(start, end uint64) (n uint64, ok bool) {
	return func(start, end uint64) (n uint64, ok bool) {
		f, err := os.Open(path)
		if err != nil {
			return 0, false
		}
		defer func() { _ = f.Close() }()
		page := uint64(vm.PageSize())
		buf := make([]byte, 32<<10)
		for at, last := start/page, (end+page-1)/page; at < last; {
			part := buf[:min(uint64(len(buf)), 8*(last-at))]
			if _, err := f.ReadAt(part, int64(8*at)); err != nil {
				return 0, false
			}
			for i := 0; i < len(part); i += 8 {
				n += binary.NativeEndian.Uint64(part[i:]) >> 63 * page
			}
			at += uint64(len(part)) / 8
		}
		return n, true
	}
}
