package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll returns the events of a trace and the error that ended it, nil for io.EOF.
func readAll(src io.Reader) ([]Op, error) {
	r, err := NewReader(src)
	if err != nil {
		return nil, err
	}
	var ops []Op
	for {
		op, err := r.Next()
		if err == io.EOF {
			return ops, nil
		}
		if err != nil {
			return ops, err
		}
		ops = append(ops, op)
	}
}

func compressed(text string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

// stored returns text in the form of gzip with the text in it as it is, after 10 bytes of gzip
// header and 5 of block header: where to cut does not depend on how well this version of Go
// compresses.
func stored(text string) string {
	var b strings.Builder
	z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

const goodTrace = `# malloctrace 1
# every kind, on two threads
m 0 1 24
c 1 2 0
#
a 0 3 100 4096
r 1 1 4 48
r 0 0 5 7
f 0 2
f 1 5
`

var goodOps = []Op{
	{Kind: Malloc, Thread: 0, ID: 1, Size: 24},
	{Kind: Calloc, Thread: 1, ID: 2, Size: 0},
	{Kind: Aligned, Thread: 0, ID: 3, Size: 100, Align: 4096},
	{Kind: Realloc, Thread: 1, Old: 1, ID: 4, Size: 48},
	{Kind: Realloc, Thread: 0, Old: 0, ID: 5, Size: 7},
	{Kind: Free, Thread: 0, ID: 2},
	{Kind: Free, Thread: 1, ID: 5},
}

func TestReaderReturnsEveryEventInOrder(t *testing.T) {
	for _, form := range []struct {
		name string
		src  io.Reader
	}{
		{"text", strings.NewReader(goodTrace)},
		{"gzip", strings.NewReader(compressed(goodTrace))},
		{"two gzip members", strings.NewReader(compressed(goodTrace[:40]) + compressed(goodTrace[40:]))},
		{"one byte at a time", iotest.OneByteReader(strings.NewReader(goodTrace))},
		{"data with EOF", iotest.DataErrReader(strings.NewReader(goodTrace))},
		{"gzip, one byte at a time", iotest.OneByteReader(strings.NewReader(compressed(goodTrace)))},
	} {
		t.Run(form.name, func(t *testing.T) {
			ops, err := readAll(form.src)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(ops) != fmt.Sprint(goodOps) {
				t.Errorf("got  %v\nwant %v", ops, goodOps)
			}
		})
	}
}

func TestReaderAcceptsTheExtremes(t *testing.T) {
	longest := "#" + strings.Repeat("x", maxLine-2) + "\n"
	for name, text := range map[string]string{
		"no events":               "",
		"longest comment":         "m 0 1 1\n" + longest + longest + "f 0 1\n",
		"largest size":            fmt.Sprintf("m 0 1 %d\n", math.MaxInt-15),
		"largest alignment":       fmt.Sprintf("a 0 1 0 %d\n", uint64(math.MaxInt)+1),
		"thread that only frees":  "m 0 1 0\nf 1 1\nm 2 2 0\n",
		"object without any byte": "m 0 1 0\nr 0 1 2 0\nf 0 2\n",
	} {
		text = header + "\n" + text
		for _, src := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			if _, err := readAll(src); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// With 64 bits every power of two is a possible alignment, of an object without any byte at least;
// with 32 bits it must not be cut down to one that is.
func TestAlignmentMustBeAnAddress(t *testing.T) {
	_, err := readAll(strings.NewReader(header + "\na 0 1 0 4294967296\n"))
	if (err == nil) != (math.MaxInt > math.MaxInt32) {
		t.Errorf("alignment 2^32: %v", err)
	}
}

// damaged lists what a Reader must refuse. The header line is put in front, unless the text is
// marked as raw.
var damaged = []struct {
	name   string
	raw    bool
	text   string
	events int    // accepted before the error
	want   string // the exact message
}{
	// The first line.
	{name: "empty file", raw: true, text: "", want: `line 1: the file is empty: unexpected EOF`},
	{
		name: "one byte", raw: true, text: "#",
		want: `line 1: "#": the trace is cut short: its last line does not end in a line feed: unexpected EOF`,
	},
	{
		name: "no header", raw: true, text: "m 0 1 24\n",
		want: `line 1: "m 0 1 24": not a trace: the first line must be "# malloctrace 1"`,
	},
	{
		name: "empty first line", raw: true, text: "\n# malloctrace 1\n",
		want: `line 1: not a trace: the first line must be "# malloctrace 1"`,
	},
	{
		name: "other version", raw: true, text: "# malloctrace 2\nq\n",
		want: `line 1: "# malloctrace 2": version "2" of the format is unknown: this package reads version 1`,
	},
	{
		name: "version with a tail", raw: true, text: "# malloctrace 10\n",
		want: `line 1: "# malloctrace 10": version "10" of the format is unknown: this package reads version 1`,
	},
	{
		name: "byte order mark", raw: true, text: "\xef\xbb\xbf# malloctrace 1\n",
		want: `line 1: "\ufeff# malloctrace 1": not a trace: the first line must be "# malloctrace 1"`,
	},
	{
		name: "header with CR LF", raw: true, text: "# malloctrace 1\r\n",
		want: `line 1: "# malloctrace 1\r": the line ends in CR LF: lines of a trace end in LF alone (convert the file, and keep version control from converting it back)`,
	},
	{
		name: "not text", raw: true, text: "\x7fELF\x02\x01\x01\n",
		want: `line 1: "\x7fELF\x02\x01\x01": not a trace: the first line must be "# malloctrace 1"`,
	},

	// Lines that cannot be understood.
	{name: "empty line", text: "m 0 1 1\n\nf 0 1\n", events: 1, want: `line 3: empty line`},
	{
		name: "unknown kind", text: "x 0 1\n",
		want: `line 2: "x 0 1": unknown event "x": the events are m, c, a, r and f`,
	},
	{
		name: "upper case", text: "M 0 1 1\n",
		want: `line 2: "M 0 1 1": unknown event "M": the events are m, c, a, r and f`,
	},
	{
		name: "long word", text: "malloc 0 1 1\n",
		want: `line 2: "malloc 0 1 1": unknown event "malloc": the events are m, c, a, r and f`,
	},
	{
		name: "tab", text: "m\t0 1 1\n",
		want: `line 2: "m\t0 1 1": unknown event "m\t0": the events are m, c, a, r and f`,
	},
	{name: "no fields", text: "m\n", want: `line 2: "m": 1 fields instead of 4: m THREAD ID SIZE`},
	{name: "field too few", text: "m 0 1\n", want: `line 2: "m 0 1": 3 fields instead of 4: m THREAD ID SIZE`},
	{
		name: "field too many", text: "m 0 1 1\nf 0 1 1\n", events: 1,
		want: `line 3: "f 0 1 1": 4 fields instead of 3: f THREAD ID`,
	},
	{
		name: "aligned without alignment", text: "a 0 1 8\n",
		want: `line 2: "a 0 1 8": 4 fields instead of 5: a THREAD ID SIZE ALIGN`,
	},
	{
		name: "realloc as malloc", text: "r 0 1 8\n",
		want: `line 2: "r 0 1 8": 4 fields instead of 5: r THREAD OLD ID SIZE`,
	},
	{
		name: "two spaces", text: "m 0  1 1\n",
		want: `line 2: "m 0  1 1": fields are separated by exactly one space, with none at either end`,
	},
	{
		name: "space in front", text: " m 0 1 1\n",
		want: `line 2: " m 0 1 1": fields are separated by exactly one space, with none at either end`,
	},
	{
		name: "space in front of comment", text: " # c\n",
		want: `line 2: " # c": fields are separated by exactly one space, with none at either end`,
	},
	{
		name: "space at the end", text: "m 0 1 1 \n",
		want: `line 2: "m 0 1 1 ": fields are separated by exactly one space, with none at either end`,
	},
	{name: "minus", text: "m 0 1 -1\n", want: `line 2: "m 0 1 -1": SIZE "-1" is not an unsigned decimal number`},
	{name: "plus", text: "m +0 1 1\n", want: `line 2: "m +0 1 1": THREAD "+0" is not an unsigned decimal number`},
	{
		name: "hexadecimal", text: "m 0 1 0x10\n",
		want: `line 2: "m 0 1 0x10": SIZE "0x10" is not an unsigned decimal number`,
	},
	{
		name: "digit of another script", text: "m 0 1 \u0663\n",
		want: "line 2: \"m 0 1 \u0663\": SIZE \"\u0663\" is not an unsigned decimal number",
	},
	{name: "leading zero", text: "m 0 01 1\n", want: `line 2: "m 0 01 1": ID "01" has a leading zero`},
	{
		name: "2^64", text: "m 0 1 18446744073709551616\n",
		want: `line 2: "m 0 1 18446744073709551616": SIZE "18446744073709551616" does not fit in 64 bits`,
	},
	{
		name: "20 digits, above 2e19", text: "m 0 1 20000000000000000000\n",
		want: `line 2: "m 0 1 20000000000000000000": SIZE "20000000000000000000" does not fit in 64 bits`,
	},
	{
		name: "20 digits, above 2^64 + 1e19", text: "m 0 1 30000000000000000000\n",
		want: `line 2: "m 0 1 30000000000000000000": SIZE "30000000000000000000" does not fit in 64 bits`,
	},
	{
		name: "21 digits", text: "f 0 100000000000000000000\n",
		want: `line 2: "f 0 100000000000000000000": ID "100000000000000000000" does not fit in 64 bits`,
	},
	{
		name: "CR LF", text: "m 0 1 1\r\n",
		want: `line 2: "m 0 1 1\r": the line ends in CR LF: lines of a trace end in LF alone (convert the file, and keep version control from converting it back)`,
	},
	{
		name: "comment with CR LF", text: "# c\r\n",
		want: `line 2: "# c\r": the line ends in CR LF: lines of a trace end in LF alone (convert the file, and keep version control from converting it back)`,
	},
	{
		name: "long line", text: "m 0 1 " + strings.Repeat("1", 200) + "\n",
		want: `line 2: "m 0 1 ` + strings.Repeat("1", 74) + `...": SIZE "` + strings.Repeat("1", 80) +
			`..." does not fit in 64 bits`,
	},
	{
		name: "overlong line", text: "#" + strings.Repeat("x", maxLine-1) + "\n",
		want: `line 2: "#` + strings.Repeat("x", 79) + `...": line longer than 65536 bytes`,
	},

	// Traces that were cut short.
	{
		name: "cut before the line feed", text: "m 0 1 1\nf 0 1", events: 1,
		want: `line 3: "f 0 1": the trace is cut short: its last line does not end in a line feed: unexpected EOF`,
	},
	{
		name: "cut in a comment", text: "m 0 1 1\n# c", events: 1,
		want: `line 3: "# c": the trace is cut short: its last line does not end in a line feed: unexpected EOF`,
	},
	{name: "empty gzip", raw: true, text: compressed(""), want: `line 1: the file is empty: unexpected EOF`},
	{
		name: "gzip cut in its header", raw: true, text: compressed(goodTrace)[:5],
		want: `line 1: the trace is cut short: the gzip data ends too early: unexpected EOF`,
	},
	{
		name: "gzip cut in the middle", raw: true, text: stored(goodTrace)[:10+5+len(header)+4],
		want: `line 2: the trace is cut short: the gzip data ends too early: unexpected EOF`,
	},
	{
		name: "gzip without its checksum", raw: true,
		text:   strings.TrimSuffix(compressed(goodTrace), compressed(goodTrace)[len(compressed(goodTrace))-8:]),
		events: 7, want: `line 11: the trace is cut short: the gzip data ends too early: unexpected EOF`,
	},

	// Gzip data that was damaged.
	{
		name: "gzip with a wrong checksum", raw: true, text: flipped(compressed(goodTrace), -8), events: 7,
		want: `line 11: the gzip data is damaged: gzip: invalid checksum`,
	},
	{
		name: "gzip with a wrong length", raw: true, text: flipped(compressed(goodTrace), -1), events: 7,
		want: `line 11: the gzip data is damaged: gzip: invalid checksum`,
	},
	{
		name: "gzip with an unknown method", raw: true, text: flipped(compressed(goodTrace), 2),
		want: `line 1: the gzip data is damaged: gzip: invalid header`,
	},
	{
		name: "gzip with an impossible block", raw: true, text: compressed(goodTrace)[:10] + "\xff\xff\xff",
		want: `line 1: the gzip data is damaged: flate: corrupt input before offset 1`,
	},
	{
		name: "gzip with something behind it", raw: true, text: compressed(goodTrace) + "m 0 6 1\n   ",
		events: 7, want: `line 11: the gzip data is damaged: gzip: invalid header`,
	},

	// Events that cannot follow the events before them.
	{
		name: "free of nothing", text: "f 0 0\n",
		want: `line 2: free of object 0, which means no object: leave out the event`,
	},
	{
		name: "free before birth", text: "m 0 1 1\nf 0 2\n", events: 1,
		want: `line 3: free of object 2, which does not exist yet: the newest is 1`,
	},
	{name: "free first", text: "f 0 1\n", want: `line 2: free of object 1, which does not exist yet: the newest is 0`},
	{
		name: "free of the greatest number", text: "m 0 1 1\nf 0 18446744073709551615\n", events: 1,
		want: `line 3: free of object 18446744073709551615, which does not exist yet: the newest is 1`,
	},
	{
		name: "double free", text: "m 0 1 1\nm 0 2 1\nf 0 1\n# c\nf 0 1\n", events: 3,
		want: `line 6: free of object 1, which has ended: an earlier free or realloc ended it`,
	},
	{
		name: "free after realloc", text: "m 0 1 1\nr 0 1 2 1\nf 0 1\n", events: 2,
		want: `line 4: free of object 1, which has ended: an earlier free or realloc ended it`,
	},
	{
		name: "realloc of a dead object", text: "m 0 1 1\nf 0 1\nr 0 1 2 1\n", events: 2,
		want: `line 4: realloc of object 1, which has ended: an earlier free or realloc ended it`,
	},
	{
		name: "realloc of itself", text: "m 0 1 1\nr 0 2 2 1\n", events: 1,
		want: `line 3: realloc of object 2, which does not exist yet: the newest is 1`,
	},
	{
		name: "realloc into itself", text: "m 0 1 1\nr 0 1 1 1\n", events: 1,
		want: `line 3: realloc begins object 1: the next object must be 2`,
	},
	{
		name: "number given twice", text: "m 0 1 1\nc 0 1 1\n", events: 1,
		want: `line 3: calloc begins object 1: the next object must be 2`,
	},
	{
		name: "number left out", text: "m 0 1 1\nm 0 3 1\n", events: 1,
		want: `line 3: malloc begins object 3: the next object must be 2`,
	},
	{name: "number 0", text: "m 0 0 1\n", want: `line 2: malloc begins object 0: the next object must be 1`},
	{
		name: "first thread is 1", text: "m 1 1 1\n",
		want: `line 2: thread 1: the next new thread must be 0 (threads are numbered from 0 in the order of their first event)`,
	},
	{
		name: "thread left out", text: "m 0 1 1\nf 2 1\n", events: 1,
		want: `line 3: thread 2: the next new thread must be 1 (threads are numbered from 0 in the order of their first event)`,
	},
	{
		name: "thread above 2^32", text: "m 4294967296 1 1\n",
		want: `line 2: "m 4294967296 1 1": thread 4294967296: the next new thread must be 0 (threads are numbered from 0 in the order of their first event)`,
	},
	{name: "alignment 0", text: "a 0 1 8 0\n", want: `line 2: alignment 0 is not a power of two`},
	{name: "alignment 24", text: "a 0 1 8 24\n", want: `line 2: alignment 24 is not a power of two`},
	{
		name: "size over the limit",
		text: fmt.Sprintf("m 0 1 %d\n", math.MaxInt-14),
		want: fmt.Sprintf(
			`line 2: size %d with alignment 16 is over the limit of this platform: the size rounded up to the alignment must be at most %d`,
			math.MaxInt-14, math.MaxInt),
	},
	{
		name: "greatest size",
		text: "r 0 0 1 18446744073709551615\n",
		want: fmt.Sprintf(
			`line 2: size 18446744073709551615 with alignment 16 is over the limit of this platform: the size rounded up to the alignment must be at most %d`,
			math.MaxInt),
	},
	{
		name: "size over the limit by alignment",
		text: fmt.Sprintf("a 0 1 1 %d\n", uint64(math.MaxInt)+1),
		want: fmt.Sprintf(
			`line 2: size 1 with alignment %d is over the limit of this platform: the size rounded up to the alignment must be at most %d`,
			uint64(math.MaxInt)+1, math.MaxInt),
	},
}

// flipped returns s with the lowest bits of the byte at i inverted; a negative i counts from the
// end.
func flipped(s string, i int) string {
	b := []byte(s)
	if i < 0 {
		i += len(b)
	}
	b[i] ^= 7
	return string(b)
}

func TestReaderRefusesDamagedTraces(t *testing.T) {
	for _, c := range damaged {
		t.Run(c.name, func(t *testing.T) {
			text := c.text
			if !c.raw {
				text = header + "\n" + text
			}
			for _, src := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
				ops, err := readAll(src)
				if err == nil {
					t.Fatalf("accepted as %v", ops)
				}
				if err.Error() != c.want {
					t.Errorf("error\n got %s\nwant %s", err, c.want)
				}
				if len(ops) != c.events {
					t.Errorf("%d events before the error, want %d", len(ops), c.events)
				}
				var e *Error
				if !errors.As(err, &e) || e.Line < 1 {
					t.Errorf("error is not an *Error with a line: %#v", err)
				}
				if cut := strings.HasSuffix(c.want, "unexpected EOF"); cut != errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("errors.Is(err, io.ErrUnexpectedEOF) = %v", !cut)
				}
			}
		})
	}
}

func TestReaderPassesOnTheErrorOfItsSource(t *testing.T) {
	broken := errors.New("cable unplugged")
	for _, text := range []string{goodTrace, compressed(goodTrace)} {
		for n := range len(text) + 1 {
			src := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken))
			_, err := readAll(src)
			if !errors.Is(err, broken) {
				t.Fatalf("after %d bytes: %v", n, err)
			}
		}
	}
}

func TestReaderGivesUpOnASourceThatStandsStill(t *testing.T) {
	src := io.MultiReader(strings.NewReader(header+"\nm 0 1 1\n"), still{})
	if _, err := readAll(src); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

type still struct{}

func (still) Read([]byte) (int, error) { return 0, nil }

func TestReaderGoesOnReturningItsError(t *testing.T) {
	for _, text := range []string{goodTrace, goodTrace + "f 0 5\nm 0 6 1\n"} {
		r, err := NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		for range 3 {
			if op, again := r.Next(); again != err || op != (Op{}) {
				t.Errorf("Next = %v, %v; want the error %v again", op, again, err)
			}
		}
	}
}

func TestReaderDoesNotAllocatePerEvent(t *testing.T) {
	var text bytes.Buffer
	w := NewWriter(&text)
	for _, op := range randomOps(rand.New(rand.NewPCG(1, 2)), 20_000, 1) {
		w.Write(op)
	}
	w.Close()
	r, err := NewReader(&text)
	if err != nil {
		t.Fatal(err)
	}
	// The bitmap of the checker grows now and then: that makes less than one allocation in a
	// hundred events.
	if n := testing.AllocsPerRun(100, func() {
		for range 100 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations in 100 events", n)
	}
}

func TestOpenNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.trace")
	if _, err := Open(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}

	os.WriteFile(path, []byte("# malloctrace 3\n"), 0o666)
	if _, err := Open(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("wrong version: %v", err)
	}

	os.WriteFile(path, []byte(header+"\nm 0 1 1\nf 0 2\n"), 0o666)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if op, err := f.Next(); err != nil || op.String() != "m 0 1 1" {
		t.Errorf("Next = %v, %v", op, err)
	}
	want := path + ":3: free of object 2, which does not exist yet: the newest is 1"
	if _, err := f.Next(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}

	f, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := f.Next(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

// FuzzReader reads any input. Nothing may panic; every refusal must say where; and since each
// sequence of events has one spelling, what is accepted must come back from a Writer as it was,
// comments apart.
func FuzzReader(f *testing.F) {
	for _, c := range damaged {
		if len(c.text) < 1000 {
			f.Add([]byte(header + "\n" + c.text))
		}
	}
	f.Add([]byte(goodTrace))
	f.Add([]byte(compressed(goodTrace)))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := readAll(bytes.NewReader(data))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Err.Error() == "malformed line" {
				t.Fatalf("error does not say what is wrong and where: %v", err)
			}
			return
		}
		var text bytes.Buffer
		w := NewWriter(&text)
		for _, op := range ops {
			if err := w.Write(op); err != nil {
				t.Fatalf("Writer refuses what Reader accepted: %v", err)
			}
		}
		w.Close()
		if len(data) < 2 || data[0] != 0x1f {
			if want := withoutComments(string(data)); text.String() != want {
				t.Fatalf("written as\n%s\nwant\n%s", &text, want)
			}
		}
		again, err := readAll(&text)
		if err != nil {
			t.Fatalf("Reader refuses what Writer wrote: %v", err)
		}
		if fmt.Sprint(again) != fmt.Sprint(ops) {
			t.Fatalf("read back as\n%v\nwant\n%v", again, ops)
		}
	})
}

// withoutComments returns the trace text with no comments but its first line.
func withoutComments(text string) string {
	var b strings.Builder
	for i, line := range strings.SplitAfter(text, "\n") {
		if i == 0 || !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func BenchmarkReader(b *testing.B) {
	const events = 100_000
	var text bytes.Buffer
	w := NewWriter(&text)
	for _, op := range randomOps(rand.New(rand.NewPCG(1, 2)), events, 4) {
		if err := w.Write(op); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	for _, form := range []struct{ name, data string }{
		{"text", text.String()},
		{"gzip", compressed(text.String())},
	} {
		b.Run("form="+form.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				r, err := NewReader(strings.NewReader(form.data))
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = r.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
