package stdlib

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bufpool"
	"github.com/galloc-go/galloc/collections"
)

// A bufio.Scanner with its buffer off the Go heap. Lines that are longer than the buffer are an
// error: with a maximum above its capacity, the Scanner would continue on the Go heap.
func Example_bufio() {
	buffer, err := galloc.MakeSlice[byte](nil, 64<<10)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer galloc.FreeSlice(nil, buffer)
	lines := bufio.NewScanner(strings.NewReader("one\ntwo\nthree\n"))
	lines.Buffer(buffer[:0], len(buffer))
	for lines.Scan() {
		fmt.Println(len(lines.Bytes()), lines.Text())
	}
	fmt.Println(lines.Err())
	// Output:
	// 3 one
	// 3 two
	// 5 three
	// <nil>
}

// io.Copy calls ReadFrom of a collections.Bytes, so there is no other buffer. When memory runs out,
// Copy returns the error.
func Example_copy() {
	var text collections.Bytes
	defer text.Free()
	n, err := io.Copy(&text, strings.NewReader("all of a file, or the body of a request\n"))
	fmt.Println(n, err)
	if _, err := text.WriteTo(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 40 <nil>
	// all of a file, or the body of a request
}

// A header and a body in one write, with both in pooled buffers. WriteTo changes the slices, and
// not the buffers.
func Example_netBuffers() {
	client, server := net.Pipe()
	go func() {
		defer client.Close()
		body := bufpool.Get(0)
		defer body.Release()
		header := bufpool.Get(0)
		defer header.Release()
		fmt.Fprintf(body, "the body")
		fmt.Fprintf(header, "length: %d\n", body.Len())
		parts := net.Buffers{header.Bytes(), body.Bytes()}
		if _, err := parts.WriteTo(client); err != nil {
			fmt.Println(err)
		}
	}()
	got := bufpool.Get(0)
	defer got.Release()
	if _, err := got.ReadFrom(server); err != nil {
		fmt.Println(err)
	}
	fmt.Println(got)
	// Output:
	// length: 8
	// the body
}

// A file that is opened with O_DIRECT needs buffers, offsets and sizes that are multiples of the
// block size of the device, mostly of 4096. A layout has the alignment; make has none above 8 KiB.
func Example_alignment() {
	name := filepath.Join(os.TempDir(), fmt.Sprint("galloc-example-", os.Getpid()))
	defer os.Remove(name)
	if err := os.WriteFile(name, make([]byte, 10_000), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	const align = 4096
	l, err := galloc.NewLayout(4*align, align)
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := galloc.Global.Allocate(l)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	defer galloc.Global.Deallocate(p, l)
	b = b[:l.Size()] // the block may have more, which is no multiple
	fmt.Println(uintptr(p)%align, len(b)%align)

	file, err := os.Open(name) // on Linux: os.OpenFile(name, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	n, err := file.ReadAt(b, 0)
	fmt.Println(n, err)
	// Output:
	// 0 0
	// 10000 EOF
}
