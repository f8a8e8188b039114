package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/metrics"
	"github.com/galloc-go/galloc/wrap"
)

func Example() {
	sample := []metrics.Sample{{Name: "/memory/live:blocks"}, {Name: "/memory/unknown:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	p, _ := galloc.New[int64](nil)
	metrics.Read(sample)
	fmt.Println(sample[0].Value.Uint64()-before, sample[1].Value.Kind() == metrics.KindBad)
	galloc.Free(nil, p)
	// Output: 1 true
}

func ExampleReadSnapshot() {
	s := metrics.ReadSnapshot()
	text, _ := json.Marshal(s)
	fmt.Println(strings.Contains(string(text), `"softLimit":0`), s.Heap.Footprint >= s.Heap.Live)
	// Output: true true
}

// The names are sorted, have the form of runtime/metrics, and each has a value of its kind.
func TestNames(t *testing.T) {
	all := metrics.All()
	if !slices.IsSortedFunc(all, func(a, b metrics.Description) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the metrics are not sorted by name")
	}
	form := regexp.MustCompile(`^(/[a-z][a-z-]*)+:(bytes|blocks|calls|events|runs|spans|seconds)$`)
	samples := make([]metrics.Sample, len(all))
	for i, d := range all {
		if !form.MatchString(d.Name) || i > 0 && d.Name == all[i-1].Name {
			t.Errorf("%q is no name, or the name of two metrics", d.Name)
		}
		if !strings.HasSuffix(d.Description, ".") {
			t.Errorf("%s: the description %q is no sentence", d.Name, d.Description)
		}
		samples[i].Name = d.Name
	}
	metrics.Read(samples)
	for i, s := range samples {
		if s.Name == "/process/resident:bytes" && runtime.GOOS != "linux" {
			continue
		}
		if s.Value.Kind() != all[i].Kind {
			t.Errorf("%s has kind %d, not %d", s.Name, s.Value.Kind(), all[i].Kind)
		}
	}
}

// Each metric of a Heap shows a field that no other shows: it changes with the field.
func TestMetricsShowTheirFields(t *testing.T) {
	s := metrics.Snapshot{Known: true, Live: 1, LiveBlocks: 2, Footprint: 3, Resident: 4, Heap: new(metrics.Heap)}
	v := reflect.ValueOf(s.Heap).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(uint64(100 + i))
		case reflect.Int64:
			f.SetInt(int64(100+i) * 1e9)
		}
	}
	s.Heap.Classes = []metrics.Class{{Size: 8, Live: 1000, Locks: 1001, Waits: 1002}}
	seen := map[string]string{}
	for _, d := range metrics.All() {
		var text string
		switch v := s.Value(d.Name); d.Kind {
		case metrics.KindUint64:
			text = fmt.Sprint(v.Uint64())
		case metrics.KindFloat64:
			text = fmt.Sprint(v.Float64())
		default:
			text = fmt.Sprint(*v.Float64Histogram())
		}
		if other := seen[text]; other != "" {
			t.Errorf("%s and %s both show %s", d.Name, other, text)
		}
		seen[text] = d.Name
	}
	// All figures but Classes and Extents, and the resident memory, the histogram, and two sums of
	// the classes.
	if got, want := len(seen), v.NumField()-2+4; got != want {
		t.Errorf("%d metrics, and %d figures", got, want)
	}
	if got := s.Value("/memory/live-by-size:blocks").Float64Histogram(); len(got.Buckets) != 3 ||
		got.Buckets[1] != 9 || got.Counts[0] != 1000 || got.Counts[1] != s.Heap.LargeBlocks {
		t.Errorf("the histogram is %+v", got)
	}
}

func TestWrongKind(t *testing.T) {
	defer func() {
		if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "galloc/metrics: the value has kind 0") {
			t.Errorf("the panic is %q", text)
		}
	}()
	metrics.Value{}.Uint64()
}

// conserve checks the equations in the documentation.
func conserve(t *testing.T, s *metrics.Heap) {
	t.Helper()
	equal := func(name string, left, right uint64) {
		t.Helper()
		if left != right {
			t.Errorf("%s: %d, not %d", name, left, right)
		}
	}
	var live, blocks, cached, spans uint64
	for i := range s.Classes {
		c := &s.Classes[i]
		live, blocks = live+c.Live*c.Size, blocks+c.Live
		cached, spans = cached+c.Cached*c.Size, spans+c.Spans
		equal(fmt.Sprintf("blocks of %d bytes", c.Size), c.Blocks, c.Live+c.Cached+c.Free)
		equal(fmt.Sprintf("moved blocks of %d bytes", c.Size), c.Refilled-c.Flushed, c.Live+c.Cached)
		if f := c.Fragmentation(); f < 0 || f > 1 || (f == 0) != (c.Live == c.Blocks) {
			t.Errorf("the fragmentation is %v", f)
		}
	}
	equal("Live", s.Live, live+s.Large)
	equal("LiveBlocks", s.LiveBlocks, blocks+s.LargeBlocks)
	equal("Cached", s.Cached, cached)
	equal("Spans", s.Spans, spans)
	equal("Footprint", s.Footprint, s.Active-s.Hollow+s.Held+s.Retained+s.Metadata)
	equal("Committed", s.Committed, s.Active+s.Held+s.Retained+s.Clean)
	if s.Reserved < s.Committed {
		t.Errorf("Reserved: %d, less than %d committed", s.Reserved, s.Committed)
	}
}

func TestConservation(t *testing.T) {
	var blocks [][]byte
	before := metrics.ReadSnapshot()
	conserve(t, before.Heap)
	for i := range 3000 {
		blocks = append(blocks, galloc.Must(galloc.MakeSlice[byte](nil, 1+i*31%70_000)))
	}
	during := metrics.ReadSnapshot()
	conserve(t, during.Heap)
	if n := during.LiveBlocks - before.LiveBlocks; n != 3000 || during.Heap.Spans == 0 || during.Heap.LargeBlocks == 0 {
		t.Errorf("%d blocks were allocated, and the heap says %d", 3000, n)
	}
	for _, b := range blocks {
		galloc.FreeSlice(nil, b)
	}
	after := metrics.ReadSnapshot()
	conserve(t, after.Heap)
	if after.LiveBlocks != before.LiveBlocks || after.Live != before.Live {
		t.Errorf("%d blocks of %d bytes are left of %d of %d", after.LiveBlocks, after.Live, before.LiveBlocks, before.Live)
	}
	var decoded metrics.Snapshot
	text, err := json.Marshal(after)
	if err == nil {
		err = json.Unmarshal(text, &decoded)
	}
	if err != nil || !reflect.DeepEqual(decoded.Heap, after.Heap) || decoded.Allocator != after.Allocator {
		t.Errorf("JSON: %v", err)
	}
}

const allocatorVar = "GALLOC_TEST_METRICS"

// allocators are global allocators, and whether they have all figures, some or none.
var allocators = map[string]struct {
	make        func() galloc.GlobalAlloc
	heap, known bool
}{
	"heap":           {func() galloc.GlobalAlloc { return galloc.Must(heap.New(heap.Options{HardLimit: 1 << 30})) }, true, true},
	"stats(heap)":    {func() galloc.GlobalAlloc { return wrap.Stats(heap.Default()) }, true, true},
	"stats(System)":  {func() galloc.GlobalAlloc { return wrap.Stats(galloc.System) }, false, true},
	"System":         {func() galloc.GlobalAlloc { return galloc.System }, false, false},
	"lock(System)":   {func() galloc.GlobalAlloc { return wrap.Lock(galloc.System) }, false, false},
	"lock(heap)":     {func() galloc.GlobalAlloc { return wrap.Lock(heap.Default()) }, true, true},
	"GALLOC=debug":   {nil, true, true},
	"sampled=100000": {nil, true, true},
}

// Whichever allocator is the global one, it is read as well as it can be. A program can register
// once, so each is in a separate process.
func TestGlobalAllocators(t *testing.T) {
	if name := os.Getenv(allocatorVar); name != "" {
		a := allocators[name]
		if a.make != nil {
			galloc.RegisterGlobal(a.make())
		}
		kept := galloc.Must(galloc.MakeSlice[byte](nil, 1000))
		s := metrics.ReadSnapshot()
		if (s.Heap != nil) != a.heap || s.Known != a.known || s.Known && s.Live < 1000 {
			t.Errorf("%s: known %v, heap %v: %d bytes", s.Allocator, s.Known, s.Heap, s.Live)
		}
		if s.Heap != nil {
			conserve(t, s.Heap)
			if name == "heap" && s.Heap.HardLimit != 1<<30 {
				t.Errorf("the hard limit is %d", s.Heap.HardLimit)
			}
		}
		if kind := s.Value("/memory/live:bytes").Kind(); (kind == metrics.KindUint64) != a.known {
			t.Errorf("the live bytes have kind %d", kind)
		}
		galloc.FreeSlice(nil, kept)
		return
	}
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	for name := range allocators {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(galloc.Must(os.Executable()), "-test.run=^TestGlobalAllocators$")
			cmd.Env = append(os.Environ(), allocatorVar+"="+name)
			switch name {
			case "GALLOC=debug":
				cmd.Env = append(cmd.Env, "GALLOC=debug")
			case "sampled=100000":
				cmd.Env = append(cmd.Env, "GALLOC=debug,sample=100000")
			default:
				cmd.Env = append(cmd.Env, "GALLOC=")
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// BenchmarkReadSnapshot reads the figures with a million runs of pages, which are spans and large
// blocks.
func BenchmarkReadSnapshot(b *testing.B) {
	for _, runs := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("runs=%d", runs), func(b *testing.B) {
			blocks := make([][]byte, runs)
			for i := range blocks {
				blocks[i] = galloc.Must(galloc.Global.Allocate(galloc.Must(galloc.NewLayout(36<<10, 8))))
			}
			b.ResetTimer()
			for b.Loop() {
				metrics.ReadSnapshot()
			}
			b.StopTimer()
			for _, s := range blocks {
				galloc.Global.Deallocate(unsafe.Pointer(&s[0]), galloc.Must(galloc.NewLayout(36<<10, 8)))
			}
		})
	}
}
