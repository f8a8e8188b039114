package collections_test

import (
	stdbytes "bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// bytesProgram writes to a Bytes and to a bytes.Buffer, and makes Strings of the contents.
func bytesProgram(a galloc.Allocator, s *script) error {
	b := collections.NewBytes(a)
	defer func() { b.Free() }()
	var m stdbytes.Buffer
	var taken []collections.String
	var texts []string
	defer func() {
		for i := range taken {
			taken[i].Free(a)
		}
	}()
	collected := galloc.HoldsPointers(a)
	for s.more() {
		text := strings.Repeat("0123456789", 10)[:s.n(90)]
		switch s.n(10) {
		case 0:
			if n, err := b.Write([]byte(text)); !s.failed(err) {
				if n != len(text) {
					return differ("Write", n, len(text))
				}
				m.WriteString(text)
			}
		case 1:
			if n, err := b.WriteString(text); !s.failed(err) {
				if n != len(text) {
					return differ("WriteString", n, len(text))
				}
				m.WriteString(text)
			}
		case 2:
			c := byte(s.n(256))
			if !s.failed(b.WriteByte(c)) {
				m.WriteByte(c)
			}
		case 3: // append a view of b
			part := b.View()[s.n(b.Len()+1):]
			part = part[:min(len(part), 500)]
			again := strings.Clone(part)
			if !s.failed(b.TryAppendString(part)) {
				m.WriteString(again)
			}
		case 4:
			long := strings.Repeat(text, s.n(60))
			n, err := b.ReadFrom(iotest.OneByteReader(strings.NewReader(long)))
			s.failed(err)
			if int(n) > len(long) || err == nil && int(n) != len(long) {
				return differ("ReadFrom", n, len(long))
			}
			m.WriteString(long[:n])
		case 5:
			got, err := b.TryTakeString()
			if collected {
				if !errors.Is(err, galloc.ErrUnsupported) {
					return differ("TakeString on GoHeap", err, galloc.ErrUnsupported)
				}
			} else if !s.failed(err) {
				taken, texts = append(taken, got), append(texts, m.String())
				m.Reset()
			}
		case 6:
			got, err := collections.NewString(a, text)
			if collected && text != "" {
				if !errors.Is(err, galloc.ErrUnsupported) {
					return differ("NewString on GoHeap", err, galloc.ErrUnsupported)
				}
			} else if !s.failed(err) {
				taken, texts = append(taken, got), append(texts, text)
			}
		case 7:
			if c, err := b.TryClone(); !s.failed(err) {
				b.Free()
				b = c
			}
		case 8:
			if len(taken) > 0 {
				i := s.n(len(taken))
				if c, err := taken[i].TryClone(a); !s.failed(err) {
					taken[i].Free(a)
					taken[i] = c
				}
			}
		case 9:
			if s.n(4) == 0 || collected {
				b.Free()
				m.Reset()
			}
		}
		if b.View() != m.String() || b.String() != m.String() {
			return differ("bytes", b.View(), m.String())
		}
		for i, got := range taken {
			if got.View() != texts[i] || got.String() != texts[i] || got.Len() != len(texts[i]) {
				return differ("String", got.View(), texts[i])
			}
		}
	}
	var out strings.Builder
	n, err := b.WriteTo(&out)
	if err != nil || int(n) != b.Len() || out.String() != b.View() {
		return differ("WriteTo", out.String(), b.View())
	}
	return nil
}

func TestBytesAndStrings(t *testing.T) { testProgram(t, bytesProgram) }

func FuzzBytes(f *testing.F) { fuzzProgram(f, bytesProgram) }

func TestTakeStringKeepsAnExactBlock(t *testing.T) {
	a := alloctest.Track(galloc.System)
	b := collections.NewBytes(a)
	b.ReserveExact(11)
	fmt.Fprintf(b, "%s, %s", "hello", "you!")
	at := unsafe.StringData(b.View())
	s := b.TakeString()
	if unsafe.StringData(s.View()) != at || s.View() != "hello, you!" || a.Calls() != 1 || b.Len() != 0 || b.Cap() != 0 {
		t.Errorf("%q, after %d allocations", s.View(), a.Calls())
	}
	s.Free(a)
	s.Free(a) // s is empty now
	if len(a.Live()) > 0 || len(a.Misuses()) > 0 {
		t.Errorf("left: %v, misuses: %v", a.Live(), a.Misuses())
	}
	if unsafe.Sizeof(s) != 2*unsafe.Sizeof(uintptr(0)) {
		t.Errorf("a String has %d bytes", unsafe.Sizeof(s))
	}
}

func TestBytesAndBadReadersAndWriters(t *testing.T) {
	var b collections.Bytes
	defer b.Free()
	b.AppendString("abc")
	bad := errors.New("bad")
	n, err := b.ReadFrom(io.MultiReader(strings.NewReader("def"), iotest.ErrReader(bad)))
	if n != 3 || err != bad || b.View() != "abcdef" {
		t.Errorf("ReadFrom: %d, %v, %q", n, err, b.View())
	}
	if n, err := b.WriteTo(short{}); n != 2 || err != io.ErrShortWrite {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	mustPanic(t, "a reader that reports too much", func() { b.ReadFrom(overreader{}) })
	b.Clear()
	if n, err := b.WriteTo(short{}); n != 0 || err != nil {
		t.Errorf("WriteTo of nothing: %d, %v", n, err)
	}
	c := b.Clone()
	defer c.Free()
	if c.Len() != 0 {
		t.Error("Clone")
	}
}

type short struct{}

func (short) Write(p []byte) (int, error) { return 2, nil }

type overreader struct{}

func (overreader) Read(p []byte) (int, error) { return len(p) + 1, nil }
