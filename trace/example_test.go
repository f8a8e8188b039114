package trace_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

const small = `# malloctrace 1
m 0 1 24
c 0 2 4096
r 0 1 3 48
f 0 2
`

func ExampleReader() {
	r, err := trace.NewReader(strings.NewReader(small))
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		op, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(op.Kind, "object", op.ID, "size", op.Size)
	}
	// Output:
	// malloc object 1 size 24
	// calloc object 2 size 4096
	// realloc object 3 size 48
	// free object 2 size 0
}

func ExampleReader_impossible() {
	r, err := trace.NewReader(strings.NewReader(small + "f 0 1\n"))
	for err == nil {
		_, err = r.Next()
	}
	fmt.Println(err)
	// Output:
	// line 6: free of object 1, which is already dead: an earlier free or realloc ended it
}

func ExampleWriter() {
	w := trace.NewWriter(os.Stdout)
	w.Comment("program: hello")
	w.Write(trace.Op{Kind: trace.Malloc, ID: 1, Size: 100})
	if err := w.Write(trace.Op{Kind: trace.Free, ID: 2}); err != nil {
		w.Comment(err.Error()) // refused, and not written
	}
	w.Write(trace.Op{Kind: trace.Free, ID: 1})
	// Errors of the destination stay, so one look at the end is enough.
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # malloctrace 1
	// # program: hello
	// m 0 1 100
	// # line 4: free of object 2, which does not exist yet: the newest is 1
	// f 0 1
}

// A Writer leaves compression to its destination.
func ExampleNewWriter_gzip() {
	var file strings.Builder

	z := gzip.NewWriter(&file)
	w := trace.NewWriter(z)
	w.Write(trace.Op{Kind: trace.Malloc, ID: 1, Size: 100})
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	if err := z.Close(); err != nil {
		fmt.Println(err)
	}

	// A Reader recognises it.
	r, err := trace.NewReader(strings.NewReader(file.String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Next())
	// Output:
	// m 0 1 100 <nil>
}

func ExampleCompile() {
	r, err := trace.NewReader(strings.NewReader(small))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := trace.Compile("small", r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d events, %d objects, at most %d bytes at a time, %d bytes at the end\n",
		p.Events, p.Objects, p.PeakLiveBytes, p.EndLiveBytes)
	// Output:
	// 4 events, 3 objects, at most 4144 bytes at a time, 48 bytes at the end
}

// What goes through an allocator becomes a trace, and can be replayed.
func ExampleRecord() {
	var file strings.Builder
	rec := trace.Record(galloc.System, trace.NewWriter(&file))

	s := galloc.Must(galloc.MakeSlice[byte](rec, 100))
	s = galloc.Must(galloc.GrowSlice(rec, s, 200))
	galloc.FreeSlice(rec, s)

	if err := rec.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Print(file.String())
	// Output:
	// # malloctrace 1
	// c 0 1 100
	// r 0 1 2 200
	// f 0 2
}

func ExampleNewReplay() {
	r, err := trace.NewReader(strings.NewReader(small))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := trace.Compile("small", r)
	if err != nil {
		fmt.Println(err)
		return
	}
	rep, err := trace.NewReplay(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rep.Close()
	if _, err := rep.Round(); err != nil { // through galloc.Alloc; returns the time it took
		fmt.Println(err)
	}
	rep.FreeSurvivors()

	compared, err := rep.Check(galloc.System) // on any allocator, every byte compared
	fmt.Println(compared > 0, err)
	// Output: true <nil>
}
