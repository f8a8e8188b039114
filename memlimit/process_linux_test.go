package memlimit_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/memlimit"
)

// The flags make the load longer, to measure: see docs/measurements.md.
var (
	mebibytes = flag.Int("mib", 192, "size of the load in a control group, in MiB")
	steps     = flag.Int("steps", 400, "allocations of each phase")
	phases    = flag.Int("phases", 6, "phases of the load")
	room      = flag.Int("room", 1, "limit of the control group, as a multiple of the size")
	child     = flag.Bool("child", false, "be the process with the load")
	governed  = flag.Bool("governed", true, "start a Governor; otherwise the process is killed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *child {
		load(uint64(*mebibytes) << 20)
		return
	}
	os.Exit(m.Run())
}

// A report is what the child prints.
type report struct {
	Failures   int    // allocations that failed
	Blocks     int    // blocks that the cache got
	MaxCache   uint64 // bytes
	MaxLive    uint64
	Snapshot   memlimit.Snapshot
	AfterClose int64 // GOMEMLIMIT
}

// A cache is a list of blocks outside of the Go heap.
type cache struct {
	mu     sync.Mutex
	blocks [][]byte
}

const blockSize = 256 << 10

func (c *cache) evict(want uint64) (n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < want && len(c.blocks) > 0 {
		b := c.blocks[0]
		c.blocks = c.blocks[1:]
		n += uint64(len(b))
		galloc.FreeSlice(nil, b)
	}
	return n
}

// load is the child: a Go heap and a cache that alternate, each of which would fill the limit.
func load(limit uint64) {
	var r report
	var c cache
	var g *memlimit.Governor
	allocate := func() ([]byte, error) { return galloc.MakeSlice[byte](nil, blockSize) }
	if *governed {
		var err error
		if g, err = memlimit.Start(memlimit.Options{Interval: 5 * time.Millisecond, Strict: true}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		g.Register("cache", 1, c.evict)
	}
	var live [][]byte
	for step := range *phases * *steps {
		var b []byte
		var err error
		if g == nil {
			b, err = allocate()
		} else {
			b, err = memlimit.Retry(g, blockSize, allocate)
		}
		if err != nil {
			r.Failures++
		} else {
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			c.mu.Lock()
			c.blocks = append(c.blocks, b)
			r.Blocks++
			r.MaxCache = max(r.MaxCache, uint64(len(c.blocks))*blockSize)
			c.mu.Unlock()
		}
		if step / *steps % 2 == 0 {
			if uint64(len(live))*blockSize < limit/2 {
				live = append(live, make([]byte, blockSize))
			}
			r.MaxLive = max(r.MaxLive, uint64(len(live))*blockSize)
		} else if len(live) > 0 {
			live = live[:len(live)-1]
			live = append([][]byte(nil), live...)
		}
		for range 4 {
			garbage = make([]byte, blockSize) // zeroed: touched
			for i := 0; i < len(garbage); i += 4096 {
				garbage[i] = 1
			}
		}
		if step%8 == 0 {
			time.Sleep(time.Millisecond) // as a program that waits for the network
		}
	}
	if g != nil {
		r.Snapshot = g.Snapshot()
		g.Close()
	}
	r.AfterClose = debug.SetMemoryLimit(-1)
	text, _ := json.Marshal(r)
	fmt.Println(string(text))
}

var garbage []byte

// newGroup makes a control group for a child process, of version 1 or 2, below the group of this
// process. It skips the test if the machine does not allow it.
func newGroup(t *testing.T, limit uint64) (dir string) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		base, file := "", ""
		switch {
		case len(f) == 3 && f[1] == "memory":
			base, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case len(f) == 3 && f[0] == "0":
			base, file = "/sys/fs/cgroup", "memory.max"
		default:
			continue
		}
		dir = filepath.Join(base, f[2], "galloc-test-"+strconv.Itoa(os.Getpid()))
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "cgroup.procs")); err != nil {
			continue
		}
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		control, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
		if err != nil {
			continue // the controller is not enabled
		}
		defer control.Close()
		if _, err := fmt.Fprint(control, limit); err == nil {
			return dir
		}
	}
	t.Skip("this machine allows no control group with a limit")
	return ""
}

// In a control group, a Go heap and a cache that alternate share a limit which each of them would
// exceed: the process is not killed, no allocation fails, and both had their turn.
func TestAlternatingLoadInAControlGroup(t *testing.T) {
	if percpu.Race {
		t.Skip("the race detector's own memory exceeds the limit")
	}
	size := uint64(*mebibytes) << 20
	limit := size * uint64(*room)
	dir := newGroup(t, limit)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$1" && shift && exec "$0" "$@"`, exe,
		filepath.Join(dir, "cgroup.procs"), "-child", "-mib", strconv.Itoa(*mebibytes), "-steps", strconv.Itoa(*steps),
		"-phases", strconv.Itoa(*phases), "-governed="+strconv.FormatBool(*governed))
	cmd.Env = append(os.Environ(), "GALLOC=", "GOMEMLIMIT=", "GOGC=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"memory.peak", "memory.max_usage_in_bytes"} {
		if peak, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			t.Logf("at most %s bytes", strings.TrimSpace(string(peak)))
		}
	}
	t.Logf("CPU time %v\n%s", cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), out)
	s := r.Snapshot
	if r.Failures != 0 || r.MaxLive < size/2 || r.MaxCache < size/3 || s.Limit != limit ||
		!strings.HasPrefix(s.Source, dir) || s.Shrinkers[0].Freed == 0 || s.Adjustments == 0 || r.AfterClose != 1<<63-1 {
		t.Errorf("%+v", r)
	}
}
