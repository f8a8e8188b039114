package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// randomOps returns a possible trace of n events on at most the given number of threads, with every
// kind, zero sizes, and frees across threads.
func randomOps(rng *rand.Rand, n, threads int) []Op {
	var (
		ops  []Op
		live []uint64
		next = uint64(1)
		seen = 0
	)
	size := func() uint64 {
		switch rng.IntN(8) {
		case 0:
			return uint64(rng.IntN(3)) // 0 and the smallest
		case 1:
			return uint64(14 + rng.IntN(4)) // where the alignment changes
		case 2:
			return uint64(rng.IntN(1 << 20))
		}
		return uint64(1 + rng.IntN(300))
	}
	give := func(op Op) Op {
		op.ID = next
		live = append(live, next)
		next++
		return op
	}
	take := func() uint64 {
		// Mostly a recent object, as in real programs.
		i := len(live) - 1 - min(rng.IntN(8), len(live)-1)
		if rng.IntN(4) == 0 {
			i = rng.IntN(len(live))
		}
		id := live[i]
		live[i] = live[len(live)-1]
		live = live[:len(live)-1]
		return id
	}
	for len(ops) < n {
		thread := rng.IntN(min(threads, seen+1))
		op := Op{Thread: thread}
		switch r := rng.IntN(20); {
		case r < 8 && len(live) > 0:
			op.Kind, op.ID = Free, take()
		case r < 11 && len(live) > 0:
			op.Kind, op.Old, op.Size = Realloc, take(), size()
			op = give(op)
		case r == 11:
			op.Kind, op.Size = Realloc, size()
			op = give(op)
		case r == 12:
			op.Kind, op.Size, op.Align = Aligned, size(), 1<<rng.IntN(13)
			op = give(op)
		case r < 15:
			op.Kind, op.Size = Calloc, size()
			op = give(op)
		default:
			op.Kind, op.Size = Malloc, size()
			op = give(op)
		}
		seen = max(seen, thread+1)
		ops = append(ops, op)
	}
	return ops
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		ops := randomOps(rng, rng.IntN(30_000), 1+rng.IntN(5))
		var text bytes.Buffer
		w := NewWriter(&text)
		for _, op := range ops {
			if rng.IntN(50) == 0 {
				if err := w.Comment("between events"); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(500) == 0 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Write(op); err != nil {
				t.Fatalf("%v: %v", op, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := readAll(&text)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(ops) {
			t.Fatalf("%d events read, %d written", len(got), len(ops))
		}
		for i := range ops {
			if got[i] != ops[i] {
				t.Fatalf("event %d: read %v, written %v", i+1, got[i], ops[i])
			}
		}
	}
}

func TestWriterWritesTheFormat(t *testing.T) {
	var text strings.Builder
	w := NewWriter(&text)
	w.Comment("every kind, on two threads")
	for i, op := range goodOps {
		if i == 2 {
			w.Comment("")
		}
		if err := w.Write(op); err != nil {
			t.Fatal(err)
		}
	}
	if text.Len() != 0 {
		t.Error("not buffered")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text.String() != goodTrace {
		t.Errorf("got\n%s\nwant\n%s", text.String(), goodTrace)
	}
}

func TestCommentsStayComments(t *testing.T) {
	for comment, want := range map[string]string{
		"":                  "#\n",
		"a":                 "# a\n",
		"a\nf 0 1":          "# a\n# f 0 1\n",
		"a\r\nb\r\n":        "# a\n# b\n#\n",
		"malloctrace 2":     "# malloctrace 2\n",
		"a\r\r\nb\rc":       "# a\n# b\rc\n",
		"\xff\x00 any byte": "# \xff\x00 any byte\n",
	} {
		var text strings.Builder
		w := NewWriter(&text)
		if err := w.Comment(comment); err != nil {
			t.Errorf("%q: %v", comment, err)
		}
		w.Close()
		if got := strings.TrimPrefix(text.String(), header+"\n"); got != want {
			t.Errorf("%q is written as %q, want %q", comment, got, want)
		}
		if ops, err := readAll(strings.NewReader(text.String())); err != nil || len(ops) > 0 {
			t.Errorf("%q is read as %v, %v", comment, ops, err)
		}
	}
}

func TestCommentsHaveALimit(t *testing.T) {
	longest := strings.Repeat("x", maxLine-len("# ")-len("\n"))
	var text bytes.Buffer
	w := NewWriter(&text)
	if err := w.Comment(longest); err != nil {
		t.Error(err)
	}
	err := w.Comment("short\n" + longest + "x")
	if want := "line 3: comment line longer than 65536 bytes"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	w.Close()
	if bytes.Contains(text.Bytes(), []byte("short")) {
		t.Error("a refused comment was written in part")
	}
	if _, err := readAll(&text); err != nil {
		t.Error(err)
	}
}

func TestWriterRefusesImpossibleEventsAndGoesOn(t *testing.T) {
	var text strings.Builder
	w := NewWriter(&text)
	for _, op := range []Op{{Kind: Malloc, ID: 1, Size: 8}, {Kind: Malloc, ID: 2, Size: 8}, {Kind: Free, ID: 2}} {
		if err := w.Write(op); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		op   Op
		want string
	}{
		{Op{}, `line 5: unknown event "\x00": the events are m, c, a, r and f`},
		{Op{Kind: 'x', ID: 3}, `line 5: unknown event "x": the events are m, c, a, r and f`},
		{Op{Kind: Malloc, Thread: -1, ID: 3}, `line 5: thread -1: the next new thread must be 1 (threads are numbered from 0 in the order of their first event)`},
		{Op{Kind: Malloc, Thread: 2, ID: 3}, `line 5: thread 2: the next new thread must be 1 (threads are numbered from 0 in the order of their first event)`},
		{Op{Kind: Malloc, ID: 3, Align: 8}, `line 5: malloc with a field it does not use: {Old:0 Size:0 Align:8} (leave it zero)`},
		{Op{Kind: Calloc, ID: 3, Old: 1}, `line 5: calloc with a field it does not use: {Old:1 Size:0 Align:0} (leave it zero)`},
		{Op{Kind: Aligned, ID: 3, Old: 1, Align: 8}, `line 5: aligned with a field it does not use: {Old:1 Size:0 Align:8} (leave it zero)`},
		{Op{Kind: Realloc, ID: 3, Old: 1, Align: 8}, `line 5: realloc with a field it does not use: {Old:1 Size:0 Align:8} (leave it zero)`},
		{Op{Kind: Free, ID: 1, Size: 8}, `line 5: free with a field it does not use: {Old:0 Size:8 Align:0} (leave it zero)`},
		{Op{Kind: Free, ID: 2}, `line 5: free of object 2, which has ended: an earlier free or realloc ended it`},
		{Op{Kind: Realloc, ID: 3, Old: 2}, `line 5: realloc of object 2, which has ended: an earlier free or realloc ended it`},
		// The old object must outlive the refusal.
		{Op{Kind: Realloc, ID: 4, Old: 1}, `line 5: realloc begins object 4: the next object must be 3`},
		{Op{Kind: Aligned, ID: 3, Align: 3}, `line 5: alignment 3 is not a power of two`},
	} {
		err := w.Write(c.op)
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", c.op, err, c.want)
		}
	}
	if err := w.Write(Op{Kind: Free, ID: 1}); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if want := header + "\nm 0 1 8\nm 0 2 8\nf 0 2\nf 0 1\n"; text.String() != want {
		t.Errorf("written\n%s\nwant\n%s", text.String(), want)
	}
}

// fullDisk takes a number of bytes and fails from then on.
type fullDisk struct {
	room int
	err  error // nil: writes are short without an error
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(d.room, len(p))
	d.room -= n
	if n < len(p) {
		return n, d.err
	}
	return n, nil
}

func TestWriterKeepsTheErrorOfItsDestination(t *testing.T) {
	full := errors.New("disk full")
	for _, c := range []struct{ disk, want error }{{full, full}, {nil, io.ErrShortWrite}} {
		w := NewWriter(&fullDisk{room: 100_000, err: c.disk})
		var err error
		n := uint64(0)
		for err == nil && n < 1e6 {
			n++
			err = w.Write(Op{Kind: Malloc, ID: n, Size: n})
		}
		if err != c.want {
			t.Fatalf("Write: %v, want %v", err, c.want)
		}
		for name, again := range map[string]error{
			"Write":   w.Write(Op{Kind: Malloc, ID: n + 1}),
			"Comment": w.Comment("more"),
			"Flush":   w.Flush(),
			"Close":   w.Close(),
		} {
			// The calls are made in source order, so Close is last.
			if again != c.want {
				t.Errorf("%s afterwards: %v, want %v", name, again, c.want)
			}
		}
	}
}

func TestWriterIsClosedOnce(t *testing.T) {
	w := NewWriter(io.Discard)
	for range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for name, err := range map[string]error{
		"Write":   w.Write(Op{Kind: Malloc, ID: 1}),
		"Comment": w.Comment("more"),
		"Flush":   w.Flush(),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestCreateCompressesByName(t *testing.T) {
	dir := t.TempDir()
	for name, magic := range map[string]string{"a.trace": "# ", "a.trace.gz": "\x1f\x8b"} {
		path := filepath.Join(dir, name)
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range goodOps {
			if err := w.Write(op); err != nil {
				t.Fatal(err)
			}
		}
		err = w.Write(Op{Kind: Free, ID: 1})
		if want := path + ":9: free of object 1, which has ended: an earlier free or realloc ended it"; err == nil ||
			err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		data, _ := os.ReadFile(path)
		if !strings.HasPrefix(string(data), magic) {
			t.Errorf("%s begins with %q", name, data[:2])
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range goodOps {
			if op, err := f.Next(); err != nil || op != want {
				t.Errorf("Next = %v, %v; want %v", op, err, want)
			}
		}
		if _, err := f.Next(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		f.Close()
	}
	if _, err := Create(filepath.Join(dir, "no", "such", "folder")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Create in a folder that does not exist: %v", err)
	}
}

func TestTheTextOfAnEvent(t *testing.T) {
	for _, c := range []struct {
		op         Op
		kind, line string
	}{
		{Op{Kind: Malloc, ID: 1, Size: 24}, "malloc", "m 0 1 24"},
		{Op{Kind: Calloc, Thread: 3, ID: 2}, "calloc", "c 3 2 0"},
		{Op{Kind: Aligned, ID: 3, Size: 8, Align: 64}, "aligned", "a 0 3 8 64"},
		{Op{Kind: Realloc, Old: 3, ID: 4, Size: 9}, "realloc", "r 0 3 4 9"},
		{Op{Kind: Free, Thread: 12, ID: 18446744073709551615}, "free", "f 12 18446744073709551615"},
		{Op{}, `Kind('\x00')`, `invalid event: unknown event "\x00": the events are m, c, a, r and f`},
	} {
		if got := c.op.Kind.String(); got != c.kind {
			t.Errorf("kind %s, want %s", got, c.kind)
		}
		if got := c.op.String(); got != c.line {
			t.Errorf("line %s, want %s", got, c.line)
		}
		b, err := c.op.AppendText([]byte("before "))
		if want := "before " + c.line; err == nil && string(b) != want {
			t.Errorf("AppendText gives %q, want %q", b, want)
		}
		if err != nil && string(b) != "before " {
			t.Errorf("AppendText fails and gives %q", b)
		}
	}
	if len(fmt.Sprint(Op{Aligned, 1<<31 - 1, 1<<64 - 1, 0, 1<<64 - 1, 1 << 63})) > maxEvent-1 {
		t.Error("an event can be longer than maxEvent")
	}
}

func TestLayoutOfAnEvent(t *testing.T) {
	for _, c := range []struct {
		op          Op
		size, align uint64
	}{
		{Op{Kind: Malloc, ID: 1, Size: 0}, 0, 8},
		{Op{Kind: Malloc, ID: 1, Size: 15}, 15, 8},
		{Op{Kind: Calloc, ID: 1, Size: 16}, 16, 16},
		{Op{Kind: Realloc, ID: 1, Size: 1000}, 1000, 16},
		{Op{Kind: Aligned, ID: 1, Size: 1000, Align: 1}, 1000, 1},
		{Op{Kind: Aligned, ID: 1, Size: 0, Align: 4096}, 0, 4096},
		{Op{Kind: Free, ID: 1}, 0, 1},
	} {
		if size, align := c.op.Layout(); size != c.size || align != c.align {
			t.Errorf("%v: layout %d, %d; want %d, %d", c.op, size, align, c.size, c.align)
		}
	}
}
