package trace

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/galloc-go/galloc/internal/block"
)

// Writer writes a trace, event by event. Call Close, or at least Flush, after the last event: up to
// 64 KiB are buffered. A Writer must not be used by two goroutines at a time, and it allocates on
// the Go heap.
//
// To compress, wrap the destination in a gzip.Writer and close both, the Writer first; or use
// [Create].
type Writer struct {
	_ block.NoCopy

	buf   []byte // written, and not yet passed to dst
	line  int    // lines written
	check Checker
	dst   io.Writer
	err   error // the error of dst, or errClosed

	// Closed by Close, if Create made this Writer.
	zip  *gzip.Writer
	file *os.File
	path string
}

// NewWriter returns a Writer that writes the trace to w. The first line is already in its buffer,
// so a Writer that is closed at once has written a valid empty trace. Closing it does not close w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{
		dst:  w,
		buf:  append(make([]byte, 0, maxLine), header+"\n"...),
		line: 1,
	}
}

// Create creates the file at path, or empties it, and returns a Writer to it. The file is
// compressed if path ends in ".gz". Close closes the file. If writing fails half-way, the file
// stays, and a [Reader] reports that it is cut.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w := NewWriter(f)
	w.file, w.path = f, path
	if strings.HasSuffix(path, ".gz") {
		w.zip = gzip.NewWriter(f)
		w.dst = w.zip
	}
	return w, nil
}

// Write writes op. If op cannot follow the events before it, Write returns an *[Error] that says
// why and writes nothing, and the Writer can still be used. If the destination fails, the error is
// final: all later calls return it too.
func (w *Writer) Write(op Op) error {
	if w.err != nil {
		return w.err
	}
	if err := w.check.Check(op); err != nil {
		return &Error{Path: w.path, Line: w.line + 1, Err: err}
	}
	// The check has excluded the only failure of AppendText.
	w.buf, _ = op.AppendText(w.buf)
	return w.endLine()
}

// Comment writes each line of text as a comment. If a line has 64 KiB or more, Comment returns an
// error and writes nothing.
func (w *Writer) Comment(text string) error {
	if w.err != nil {
		return w.err
	}
	for line := range strings.SplitSeq(text, "\n") {
		if len("# ")+len(line)+len("\n") > maxLine {
			return &Error{Path: w.path, Line: w.line + 1, Err: fmt.Errorf("comment line longer than %d bytes", maxLine)}
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		// With a carriage return, the line would end in CR LF.
		if line = strings.TrimRight(line, "\r"); line != "" {
			line = " " + line
		}
		w.buf = append(w.buf, '#')
		w.buf = append(w.buf, line...)
		if err := w.endLine(); err != nil {
			return err
		}
	}
	return nil
}

// endLine ends the last line of the buffer and makes room for more.
func (w *Writer) endLine() error {
	w.buf = append(w.buf, '\n')
	w.line++
	if len(w.buf) > maxLine-maxEvent {
		return w.Flush()
	}
	return nil
}

// Flush passes everything written so far to the destination. With compression, some of it stays in
// the compressor until Close.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	n, err := w.dst.Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	w.buf = w.buf[:0]
	w.err = err
	return err
}

// Close flushes the buffer, and closes the file if [Create] made it. It returns the first error of
// writing. Only the first call of Close has an effect; the Writer cannot be used afterwards.
func (w *Writer) Close() error {
	if w.err == errClosed {
		return nil
	}
	err := w.Flush()
	if w.zip != nil {
		if zipErr := w.zip.Close(); err == nil {
			err = zipErr
		}
	}
	if w.file != nil {
		if fileErr := w.file.Close(); err == nil {
			err = fileErr
		}
	}
	w.err = errClosed
	return err
}

var errClosed = fmt.Errorf("writer of a trace: %w", os.ErrClosed)
