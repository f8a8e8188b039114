package trace_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

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
	// line 6: free of object 1, which has ended: an earlier free or realloc ended it
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
