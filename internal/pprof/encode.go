// Package pprof writes profiles in the format of go tool pprof, a gzipped protocol buffer:
// github.com/google/pprof/proto/profile.proto. The numbers of fields below are the numbers there.
package pprof

import (
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/galloc-go/galloc/internal/stacks"
)

// A message is an encoded protocol buffer.
type message struct{ bytes.Buffer }

func (m *message) varint(x uint64) {
	for ; x >= 0x80; x >>= 7 {
		m.WriteByte(byte(x) | 0x80)
	}
	m.WriteByte(byte(x))
}

// number adds a field with a number, unless it is 0.
func (m *message) number(field int, x uint64) {
	if x != 0 {
		m.varint(uint64(field) << 3)
		m.varint(x)
	}
}

// flag adds a field that is true.
func (m *message) flag(field int) { m.number(field, 1) }

// text adds a field with text, or with an encoded message.
func (m *message) text(field int, s string) {
	m.varint(uint64(field)<<3 | 2)
	m.varint(uint64(len(s)))
	m.WriteString(s)
}

// packed adds a field with several numbers.
func (m *message) packed(field int, xs []uint64) {
	var p message
	for _, x := range xs {
		p.varint(x)
	}
	m.text(field, p.String())
}

// An encoder makes the message of a Profile. The identifiers of locations, functions and strings
// are their positions, from 1 on, or from 0 on for strings.
type encoder struct {
	message
	mappings  []mapping
	locations map[location]uint64
	functions map[function]uint64
	strings   map[string]uint64
}

// A location is the frames of one call: some that are inlined, and the one that they are inlined
// into. Or it is a frame that has only a name.
type location struct {
	pc   uintptr
	n    int
	name string
}

type function struct{ name, file string }

// A Profile is what an encoder writes.
type Profile struct {
	Types    [][2]string // name and unit of each value of a sample
	Default  string      // name of the value that pprof shows first
	Samples  []Sample
	Time     time.Time
	Duration time.Duration
	Period   int // of events of the type space, in bytes; 0 is none
}

// A Sample is the values of one stack.
type Sample struct {
	Stack  []uintptr // the latest call first, as runtime.Callers returns it
	Frames []string  // frames below these that are not calls: they have a name only
	Values []int64   // one for each type
}

// WriteTo writes p with the names of functions, files and lines, and the mappings of the program.
func (p *Profile) WriteTo(w io.Writer) (int64, error) {
	e := &encoder{
		mappings:  readMappings(),
		locations: map[location]uint64{}, functions: map[function]uint64{}, strings: map[string]uint64{},
	}
	e.str("")
	for _, t := range p.Types {
		e.text(1, e.valueType(t[0], t[1]))
	}
	for i := range p.Samples {
		s := &p.Samples[i]
		ids := e.locationsOf(s.Stack)
		for _, name := range s.Frames {
			ids = append(ids, e.named(name))
		}
		values := make([]uint64, len(s.Values))
		for i, v := range s.Values {
			values[i] = uint64(v)
		}
		var m message
		m.packed(1, ids)
		m.packed(2, values)
		e.text(2, m.String())
	}
	for i, m := range e.mappings {
		e.text(3, e.mappingMessage(uint64(i+1), m))
	}
	e.number(9, uint64(p.Time.UnixNano()))
	e.number(10, uint64(p.Duration))
	e.text(11, e.valueType("space", "bytes"))
	e.number(12, uint64(p.Period))
	e.number(14, e.str(p.Default))

	c := &counter{w: w}
	z := gzip.NewWriter(c)
	if _, err := z.Write(e.Bytes()); err != nil {
		return c.n, err
	}
	err := z.Close()
	return c.n, err
}

// A counter counts the bytes that it writes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// str returns the identifier of a string. A new string is added at once: fields of one number keep
// their order wherever they are.
func (e *encoder) str(s string) uint64 {
	id, ok := e.strings[s]
	if !ok {
		id = uint64(len(e.strings))
		e.strings[s] = id
		e.text(6, s)
	}
	return id
}

func (e *encoder) valueType(name, unit string) string {
	var m message
	m.number(1, e.str(name))
	m.number(2, e.str(unit))
	return m.String()
}

func (e *encoder) mappingMessage(id uint64, g mapping) string {
	var m message
	m.number(1, id)
	m.number(2, g.start)
	m.number(3, g.limit)
	m.number(4, g.offset)
	m.number(5, e.str(g.file))
	m.number(6, e.str(g.buildID))
	for field := 7; field <= 10; field++ { // all names, inlined frames included, are in the profile
		m.flag(field)
	}
	return m.String()
}

// locationsOf returns the identifiers of the locations of a stack, without the calls at the top
// that only lead from the program to the profiler.
func (e *encoder) locationsOf(stack []uintptr) (ids []uint64) {
	frames := stacks.Stack(stack).All()
	top := 0
	for top < len(frames)-1 && leads(&frames[top]) {
		top++
	}
	for i := top; i < len(frames); {
		n := 1
		for i+n < len(frames) && inlined(&frames[i+n-1]) {
			n++
		}
		ids = append(ids, e.location(stack[i], frames[i:i+n]))
		i += n
	}
	return ids
}

// inlined reports whether f is inlined into the next frame.
func inlined(f *runtime.Frame) bool { return f.Func == nil && f.Line != 0 }

// leads reports whether f is of a package that only passes allocations on. Frames of collections
// and arenas are not: they say what the memory is for.
func leads(f *runtime.Frame) bool {
	const module = "github.com/galloc-go/galloc"
	name, _, _ := strings.Cut(f.Function, "[") // the types of a generic function
	rest, ok := strings.CutPrefix(name, module)
	if !ok || strings.HasSuffix(f.File, "_test.go") {
		return false
	}
	folder, _ := path.Split(rest) // as in "/wrap.(*Counter).Alloc" and ".Alloc"
	name, _, _ = strings.Cut(rest[len(folder):], ".")
	switch folder + name {
	case "", "/heapprof", "/wrap", "/memcheck", "/internal/inside", "/internal/memcheck", "/internal/stacks":
		return true
	}
	return false
}

func (e *encoder) location(pc uintptr, frames []runtime.Frame) uint64 {
	key := location{pc: pc, n: len(frames)}
	if id, ok := e.locations[key]; ok {
		return id
	}
	id := uint64(len(e.locations) + 1)
	e.locations[key] = id
	var m message
	m.number(1, id)
	addr := uint64(pc - 1) // in the call
	m.number(2, e.mappingOf(addr))
	m.number(3, addr)
	for i := range frames {
		var line message
		line.number(1, e.function(frames[i].Function, frames[i].File))
		line.number(2, uint64(frames[i].Line))
		m.text(4, line.String())
	}
	e.text(4, m.String())
	return id
}

// named returns the identifier of the location of a frame that has only a name.
func (e *encoder) named(name string) uint64 {
	key := location{name: name}
	if id, ok := e.locations[key]; ok {
		return id
	}
	id := uint64(len(e.locations) + 1)
	e.locations[key] = id
	var m, line message
	m.number(1, id)
	line.number(1, e.function(name, ""))
	m.text(4, line.String())
	e.text(4, m.String())
	return id
}

func (e *encoder) mappingOf(addr uint64) uint64 {
	for i, m := range e.mappings {
		if m.start <= addr && addr < m.limit {
			return uint64(i + 1)
		}
	}
	return 0
}

func (e *encoder) function(name, file string) uint64 {
	key := function{name, file}
	if id, ok := e.functions[key]; ok {
		return id
	}
	id := uint64(len(e.functions) + 1)
	e.functions[key] = id
	var m message
	m.number(1, id)
	m.number(2, e.str(name))
	m.number(3, e.str(name))
	m.number(4, e.str(file))
	e.text(5, m.String())
	return id
}
