package trace

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
)

// Writer writes a trace, event by event. Call Close, or at least Flush, when done:
// the last 64 KiB are in a buffer. A Writer must not be used by two goroutines at
// a time, and it allocates from the Go heap.
//
// To compress, wrap the destination in a gzip.Writer and close both, the Writer
// first; or use [Create].
type Writer struct {
	buf   []byte // written and not yet passed on
	line  int    // lines written
	check checker
	dst   io.Writer
	err   error // why dst takes no more, or errClosed

	// What Close closes in addition to flushing, if Create made this Writer.
	zip  *gzip.Writer
	file *os.File
	path string
}

// NewWriter returns a Writer that writes the trace to w. The first line is already
// in its buffer, so a Writer that is closed at once leaves a valid empty trace.
// Closing it does not close w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{
		dst:  w,
		buf:  append(make([]byte, 0, maxLine), header+"\n"...),
		line: 1,
	}
}

// Create creates the file at path, or empties it, and returns a Writer to it. The
// file is compressed if path ends in ".gz". Close closes the file. What has been
// written stays if writing fails half-way; [Reader] can tell that it is cut.
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

// Write writes op. If op cannot follow the events before it, Write returns an
// *[Error] that says why, writes nothing, and the Writer can still be used. If
// the destination fails, that error is final: all later calls return it too.
func (w *Writer) Write(op Op) error {
	if w.err != nil {
		return w.err
	}
	if err := w.check.check(op); err != nil {
		return &Error{Path: w.path, Line: w.line + 1, Err: err}
	}
	// The check has excluded the only failure of AppendText.
	w.buf, _ = op.AppendText(w.buf)
	return w.endLine()
}

// Comment writes text as a comment, each of its lines as one. It refuses a line of
// 64 KiB or more, and then writes nothing of text.
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
		// A carriage return at the end of a line would make it end in CR LF.
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

// endLine ends the line at the end of the buffer and makes room for more.
func (w *Writer) endLine() error {
	w.buf = append(w.buf, '\n')
	w.line++
	if len(w.buf) > maxLine-longestEvent {
		return w.Flush()
	}
	return nil
}

// Flush passes everything written so far on to the destination. With compression
// some of it still waits there for Close.
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

// Close flushes, and closes the file if [Create] made it. It returns the first
// error that writing met. Only the first call of Close does anything; the Writer
// cannot be used afterwards.
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
