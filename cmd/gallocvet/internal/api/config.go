package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ConfigName is the name of the configuration file, which is in the directory of a package or in
// one above.
const ConfigName = ".gallocvet.json"

// A Config is the content of a configuration file.
type Config struct {
	Presets []string `json:"presets"` // names of presets, besides the default ones
	Disable []string `json:"disable"` // rules
	Pairs   []Pair   `json:"pairs"`
	// SkipTests leaves out all test files. Some rules always do.
	SkipTests bool `json:"skipTests"`
}

// A Pair is a function that makes memory and one that ends it.
type Pair struct {
	Make string `json:"make"` // "path.Func" or "path.Type.Method"; it may be empty
	End  string `json:"end"`
	// Arg is the argument of End whose memory ends: 0 is the receiver of a method, or the first
	// argument of a function.
	Arg int `json:"arg"`
	// Leak: memory of Make that is not ended on some path is a leak.
	Leak bool `json:"leak"`
	// Counted: the end drops one of several references, so only the leak rule knows it.
	Counted bool `json:"counted"`
}

func (p Pair) addTo(m map[string]Call) error {
	if p.End == "" || p.Arg < 0 {
		return fmt.Errorf("a pair needs an end, and an arg from 0 on: %+v", p)
	}
	if p.Make != "" {
		c := nothing()
		c.Makes, c.Leaks, c.UnlessFails = true, p.Leak, true
		m[p.Make] = c
	}
	c := nothing()
	if p.Counted {
		c.Frees = p.Arg
	} else {
		c.Ends = p.Arg
	}
	m[p.End] = c
	return nil
}

// presets are the pairs of well-known packages.
var presets = map[string][]Pair{
	"sync.Pool": {{Make: "sync.Pool.Get", End: "sync.Pool.Put", Arg: 1}},
	"bytebufferpool": {
		{Make: "github.com/valyala/bytebufferpool.Get", End: "github.com/valyala/bytebufferpool.Put"},
		{Make: "github.com/valyala/bytebufferpool.Pool.Get", End: "github.com/valyala/bytebufferpool.Pool.Put", Arg: 1},
	},
	"grpc": {
		{Make: "google.golang.org/grpc/mem.BufferPool.Get", End: "google.golang.org/grpc/mem.BufferPool.Put", Arg: 1},
		{Make: "google.golang.org/grpc/mem.NewBuffer", End: "google.golang.org/grpc/mem.Buffer.Free", Counted: true, Leak: true},
	},
	"arrow": append(arrow("github.com/apache/arrow-go/v18"),
		append(arrow("github.com/apache/arrow/go/v17"), arrow("github.com/apache/arrow/go/v12")...)...),
	"cgo": {
		{Make: "C.malloc", End: "C.free"},
		{Make: "C.CString", End: "C.free", Leak: true},
		{Make: "C.CBytes", End: "C.free", Leak: true},
	},
	"mmap": {
		{Make: "syscall.Mmap", End: "syscall.Munmap", Leak: true},
		{Make: "golang.org/x/sys/unix.Mmap", End: "golang.org/x/sys/unix.Munmap", Leak: true},
	},
}

func arrow(module string) (all []Pair) {
	for _, make := range []string{"NewRecord", "NewRecordBatch", "NewTable", "NewInt64Data", "MakeFromData"} {
		all = append(all, Pair{Make: module + "/arrow/array." + make, End: module + "/arrow.Array.Release", Counted: true})
	}
	for _, t := range []string{"arrow.Record", "arrow.RecordBatch", "arrow.Table", "arrow/array.RecordBuilder", "arrow/memory.Buffer"} {
		all = append(all, Pair{End: module + "/" + t + ".Release", Counted: true})
	}
	for _, t := range strings.Fields("Binary Boolean Date32 Date64 Dictionary Duration FixedSizeBinary Float32 Float64 Int8 Int16 " +
		"Int32 Int64 LargeList LargeString List Map Record String Struct Time32 Time64 Timestamp Uint8 Uint16 Uint32 Uint64") {
		all = append(all, Pair{Make: module + "/arrow/array.New" + t + "Builder", End: module + "/arrow/array." + t + "Builder.Release", Counted: true, Leak: true})
	}
	return append(all,
		// The types that builders and arrays embed, whose method it is.
		Pair{End: module + "/arrow/array.builder.Release", Counted: true},
		Pair{End: module + "/arrow/array.array.Release", Counted: true},
		Pair{Make: module + "/arrow/memory.NewResizableBuffer", End: module + "/arrow/memory.Buffer.Release", Counted: true, Leak: true},
		Pair{Make: module + "/arrow/memory.Allocator.Allocate", End: module + "/arrow/memory.Allocator.Free", Arg: 1})
}

// defaultPresets are on without a configuration file.
var defaultPresets = []string{"sync.Pool", "bytebufferpool"}

// New returns the table of a configuration.
func New(c Config) (*Table, error) {
	t := &Table{calls: ofGalloc(), disabled: set(c.Disable...), SkipTests: c.SkipTests}
	for _, name := range append(append([]string(nil), defaultPresets...), c.Presets...) {
		pairs, ok := presets[name]
		if !ok {
			return nil, fmt.Errorf("there is no preset %q", name)
		}
		for _, p := range pairs {
			if err := p.addTo(t.calls); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range c.Pairs {
		if err := p.addTo(t.calls); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// tables has the table of each directory.
var tables sync.Map

// Of returns the table for a package in the directory dir, of the nearest configuration file in dir
// or above, or the default table.
func Of(dir string) (*Table, error) {
	if t, ok := tables.Load(dir); ok {
		return t.(*Table), nil
	}
	t, err := read(dir)
	if err != nil {
		return nil, err
	}
	tables.Store(dir, t)
	return t, nil
}

func read(dir string) (*Table, error) {
	name := filepath.Join(dir, ConfigName)
	text, err := os.ReadFile(name)
	if err != nil {
		if up := filepath.Dir(dir); up != dir {
			return Of(up)
		}
		return New(Config{})
	}
	var c Config
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("gallocvet: %s: %w", name, err)
	}
	t, err := New(c)
	if err != nil {
		return nil, fmt.Errorf("gallocvet: %s: %w", name, err)
	}
	return t, nil
}
