package collections

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"sync"
	"unsafe"
)

// Hashing. Equal keys have equal hashes. Without the seeds, other keys with the same hash cannot be
// predicted. See map_table.go for what the bits select.
//
// A number of up to 8 bytes, the most common key, is multiplied by a random odd number, as in
// multiply-shift (Dietzfelbinger and others 1997). The halves of the 128-bit product are folded
// together, as in wyhash (Wang Yi 2019), and both steps are repeated. A short string is two such
// numbers. Other bytes go to hash/maphash, the hash of Go's maps. Keys with floating-point numbers,
// padding or blank fields are hashed part by part, as == compares them.

// seeds are the seeds of one table, and of its clones. They are chosen when it gets memory.
type seeds struct {
	add  uint64 // xored with a number before the multiplication
	mul  uint64 // odd
	rest maphash.Seed
}

func newSeeds() seeds {
	return seeds{add: rand.Uint64(), mul: rand.Uint64() | 1, rest: maphash.MakeSeed()}
}

// number returns the hash of v.
func (s *seeds) number(v uint64) uint64 {
	hi, lo := bits.Mul64(v^s.add, s.mul)
	hi, lo = bits.Mul64(hi^lo, spread)
	return hi ^ lo
}

// spread is the golden ratio times 2^64. Numbers at equal distances have equal distances after one
// multiplication, and some multipliers bring them close together. The second multiplication, after
// the folding, destroys that pattern.
const spread = 0x9e3779b97f4a7c15

// A recipe describes how to hash keys of a type. All tables share it.
type recipe struct {
	number bool // keys are plain memory of 1, 2, 4 or 8 bytes; there are no parts
	parts  []part
}

// part is a piece of a key, or count equal pieces:
//
//	piece i is at [offset + i*stride, offset + i*stride + size)     for 0 <= i < count
type part struct {
	kind                        partKind
	offset, size, count, stride uintptr
	parts                       []part // if nested: offsets count from the beginning of the piece
}

type partKind uint8

const (
	plain  partKind = iota // bytes
	float                  // of 4 or 8 bytes
	nested                 // parts
)

var recipes sync.Map // reflect.Type to *recipe

// recipeOf returns the recipe for keys of type K, which contains no pointers.
func recipeOf[K comparable]() *recipe {
	t := reflect.TypeFor[K]()
	if r, ok := recipes.Load(t); ok {
		return r.(*recipe)
	}
	r := new(recipe)
	r.parts = appendParts(nil, t, 0)
	if len(r.parts) == 1 && r.parts[0].kind == plain && r.parts[0].size == t.Size() {
		switch t.Size() {
		case 1, 2, 4, 8:
			r.number, r.parts = true, nil
		}
	}
	known, _ := recipes.LoadOrStore(t, r)
	return known.(*recipe)
}

// appendParts appends the parts of a value of type t at offset.
func appendParts(to []part, t reflect.Type, offset uintptr) []part {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		return append(to, part{kind: float, offset: offset, size: t.Size(), count: 1})
	case reflect.Complex64, reflect.Complex128:
		half := t.Size() / 2
		return append(to, part{kind: float, offset: offset, size: half, count: 2, stride: half})
	case reflect.Array:
		return appendArray(to, t, offset)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.Name != "_" { // == ignores those
				to = appendParts(to, f.Type, offset+f.Offset)
			}
		}
		return to
	default:
		return appendPlain(to, offset, t.Size())
	}
}

func appendPlain(to []part, offset, size uintptr) []part {
	if n := len(to); n > 0 && to[n-1].kind == plain && to[n-1].offset+to[n-1].size == offset {
		to[n-1].size += size // no padding in between
		return to
	}
	return append(to, part{kind: plain, offset: offset, size: size, count: 1})
}

func appendArray(to []part, t reflect.Type, offset uintptr) []part {
	size, n := t.Elem().Size(), uintptr(t.Len())
	if size*n == 0 {
		return to
	}
	elem := appendParts(nil, t.Elem(), 0)
	switch {
	case len(elem) == 0: // only blank fields
		return to
	case len(elem) == 1 && elem[0].kind == plain && elem[0].size == size && elem[0].count == 1:
		return appendPlain(to, offset, size*n)
	case len(elem) == 1 && elem[0].kind == float && elem[0].count == 1:
		return append(to, part{kind: float, offset: offset + elem[0].offset, size: elem[0].size, count: n, stride: size})
	case n == 1:
		return appendParts(to, t.Elem(), offset)
	}
	return append(to, part{kind: nested, offset: offset, size: size, count: n, stride: size, parts: elem})
}

// text returns the hash of a string. Up to 16 bytes are read as two numbers, which may overlap.
// They and the length are multiplied with the seeds and each other, as in wyhash.
func (s *seeds) text(v string) uint64 {
	// SAFETY: all reads are within the len(v) bytes.
	n, p := len(v), unsafe.Pointer(unsafe.StringData(v))
	var a, b uint64
	switch {
	case n > 16:
		return maphash.String(s.rest, v)
	case n >= 8:
		a, b = load64(p), load64(unsafe.Add(p, n-8))
	case n >= 4:
		a, b = load32(p), load32(unsafe.Add(p, n-4))
	case n > 0:
		a = uint64(*(*byte)(p))<<16 | uint64(*(*byte)(unsafe.Add(p, n/2)))<<8 | uint64(*(*byte)(unsafe.Add(p, n-1)))
	}
	hi, lo := bits.Mul64(a^s.add, b^s.mul)
	return s.number(hi ^ lo ^ uint64(n))
}

// hashParts returns the hash of the key at p by its parts.
func (s *seeds) hashParts(p unsafe.Pointer, parts []part) uint64 {
	// The common case is one plain part: [16]byte, or a struct without padding.
	if len(parts) == 1 && parts[0].kind == plain && parts[0].count == 1 {
		return maphash.Bytes(s.rest, bytesAt(p, parts[0].offset, parts[0].size))
	}
	h := s.add
	for i := range parts {
		for n := range parts[i].count {
			h = s.number(bits.RotateLeft64(h, 23) ^ s.piece(p, &parts[i], n))
		}
	}
	return h
}

// piece returns a number for piece n of a part of the key at p. Equal pieces have equal numbers.
func (s *seeds) piece(p unsafe.Pointer, part *part, n uintptr) uint64 {
	offset := part.offset + n*part.stride
	// SAFETY: the part is within the key.
	at := unsafe.Add(p, offset)
	switch part.kind {
	case float:
		var f float64
		if part.size == 4 {
			f = float64(*(*float32)(at))
		} else {
			f = *(*float64)(at)
		}
		switch {
		case f == 0:
			return 0 // also for -0
		case f != f:
			// A NaN equals no key, so any number will do. A constant would put all NaNs into one
			// probe sequence.
			return rand.Uint64()
		}
		return math.Float64bits(f)
	case nested:
		return s.hashParts(at, part.parts)
	default:
		return maphash.Bytes(s.rest, bytesAt(p, offset, part.size))
	}
}

// load64 returns the 8 bytes at p, which may be unaligned.
func load64(p unsafe.Pointer) uint64 { return binary.NativeEndian.Uint64((*[8]byte)(p)[:]) }

// load32 is load64 for 4 bytes.
func load32(p unsafe.Pointer) uint64 { return uint64(binary.NativeEndian.Uint32((*[4]byte)(p)[:])) }

// bytesAt returns the n bytes at p+offset.
func bytesAt(p unsafe.Pointer, offset, n uintptr) []byte {
	// SAFETY: the caller passes n bytes of a key.
	return unsafe.Slice((*byte)(unsafe.Add(p, offset)), n)
}
