package soak

import (
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/galloc-go/galloc"
)

// A block is memory that a soaking goroutine owns. Its content depends on its seed, its size and
// the offset only, so that any goroutine that gets the block can compare it.
type block struct {
	mem    []byte // of layout.Size() bytes
	layout galloc.Layout
	seed   uint64
}

// value returns the address of the block, as a reflect.Value because this package does not use
// unsafe. It does not allocate.
func (b *block) value() reflect.Value { return reflect.ValueOf(&b.mem).Elem() }

// Blocks of up to wholeSize bytes are written as a whole. In larger blocks, both ends and a word of
// each page are written, which costs little and makes every page resident.
const (
	wholeSize = 8 << 10
	endSize   = 64
	pageSize  = 4 << 10
)

// written returns the i-th range of bytes that are written in a block of size bytes, and false if
// there are fewer. All begin at a multiple of 8.
func written(size, i int) (from, to int, ok bool) {
	if size <= wholeSize {
		return 0, size, i == 0
	}
	switch pages := (size - endSize - 8) / pageSize; {
	case i == 0:
		return 0, endSize, true
	case i <= pages:
		return i * pageSize, i*pageSize + 8, true
	default:
		return (size - endSize) &^ 7, size, i == pages+1
	}
}

// word returns the content of the 8 bytes at offset i, a multiple of 8.
func word(seed uint64, i int) uint64 { return (seed + uint64(i)) * 0x9e3779b97f4a7c15 }

// fill writes the block.
func (b *block) fill() {
	for n := 0; ; n++ {
		i, to, ok := written(len(b.mem), n)
		if !ok {
			return
		}
		for ; i+8 <= to; i += 8 {
			binary.NativeEndian.PutUint64(b.mem[i:], word(b.seed, i))
		}
		if i < to {
			var last [8]byte
			binary.NativeEndian.PutUint64(last[:], word(b.seed, i))
			copy(b.mem[i:to], last[:])
		}
	}
}

// compare checks that the first bytes of the block, now at mem, have their content. It returns the
// number of bytes compared.
func (b *block) compare(mem []byte) (compared int, err error) {
	size := int(b.layout.Size())
	for n := 0; ; n++ {
		i, to, ok := written(size, n)
		to = min(to, len(mem))
		if !ok || i >= to {
			return compared, nil
		}
		compared += to - i
		for ; i+8 <= to; i += 8 {
			if binary.NativeEndian.Uint64(mem[i:]) != word(b.seed, i) {
				return compared, b.wrong(mem, i, i+8)
			}
		}
		if i < to {
			var last [8]byte
			binary.NativeEndian.PutUint64(last[:], word(b.seed, i))
			if string(mem[i:to]) != string(last[:to-i]) {
				return compared, b.wrong(mem, i, to)
			}
		}
	}
}

// wrong returns an error about the bytes from offset i up to j, in the same word.
func (b *block) wrong(mem []byte, i, j int) error {
	var want [8]byte
	binary.NativeEndian.PutUint64(want[:], word(b.seed, i))
	return fmt.Errorf("the bytes from %d on of a block of %v at %p are % x, but % x was written there",
		i, b.layout, mem, mem[i:j], want[:j-i])
}

// firstNonzero returns the offset of a byte that is not zero, or -1.
func firstNonzero(b []byte) int {
	i := 0
	for i+8 <= len(b) && binary.NativeEndian.Uint64(b[i:]) == 0 {
		i += 8
	}
	for ; i < len(b); i++ {
		if b[i] != 0 {
			return i
		}
	}
	return -1
}
