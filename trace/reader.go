package trace

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Error is an error in a trace, with its place. Every error of a [Reader], a [File] and a [Writer]
// that concerns the trace is an *Error; errors of opening or closing a file are not.
type Error struct {
	Path string // the file, if the trace was opened by name
	Line int    // numbered from 1; comments count
	Text string // the line, if it cannot be parsed
	Err  error
}

// Error returns, for example, `line 12: "x 0 1": unknown event "x"`, with "path:12" in place of
// "line 12" if the path is known.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Path != "" {
		b.WriteString(e.Path + ":")
	} else {
		b.WriteString("line ")
	}
	b.WriteString(strconv.Itoa(e.Line) + ": ")
	if e.Text != "" {
		b.WriteString(quoted(e.Text) + ": ")
	}
	return b.String() + e.Err.Error()
}

// Unwrap returns e.Err. For a trace that was cut short it wraps [io.ErrUnexpectedEOF], for a
// failing source the error of the source.
func (e *Error) Unwrap() error { return e.Err }

// Reader reads the events of a trace one by one. It must not be used by two goroutines at a time.
type Reader struct {
	// buf[pos:end] has been read from src and not yet been parsed.
	buf      []byte
	pos, end int

	line   int // number of the current line
	check  Checker
	src    io.Reader
	srcErr error // the error that ended src
	gzip   bool  // src decompresses
	path   string
	err    error // what Next returns from now on
}

// NewReader returns a Reader of the trace in r, which may be plain text or gzip, as the first two
// bytes show. It reads ahead, at least the first line, and fails if that is not the first line of
// version 1 of the format.
func NewReader(r io.Reader) (*Reader, error) { return newReader(r, "") }

func newReader(src io.Reader, path string) (*Reader, error) {
	r := &Reader{src: src, path: path, buf: make([]byte, maxLine)}
	buffered := bufio.NewReader(src)
	r.src = buffered
	// An error of Peek comes back with the first Read.
	if magic, _ := buffered.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		r.gzip = true
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, &Error{Path: path, Line: 1, Err: r.sourceError(err)}
		}
		r.src = z
	}
	if err := r.readHeader(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) readHeader() error {
	line, err := r.readLine()
	if err == io.EOF {
		return &Error{Path: r.path, Line: 1, Err: fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF)}
	}
	if err != nil {
		return err
	}
	if string(line) == header {
		return nil
	}
	if version, ok := strings.CutPrefix(string(line), headerName+" "); ok && !endsInCR(line) {
		err = fmt.Errorf("version %s of the format is unknown: this package reads version 1", quoted(version))
	} else if endsInCR(line) {
		err = errCR
	} else {
		err = fmt.Errorf("not a trace: the first line must be %q", header)
	}
	return &Error{Path: r.path, Line: 1, Text: string(line), Err: err}
}

// Next returns the next event. After the last one it returns [io.EOF]. Any other error is an
// *[Error] and final: Next goes on returning it. The events before the faulty line have been
// returned by then.
//
// A trace whose last line lacks its line feed, or whose gzip data does not end properly, was cut
// short, which is an error. A trace of plain text that was cut between two lines looks like a
// complete one.
func (r *Reader) Next() (Op, error) {
	if r.err != nil {
		return Op{}, r.err
	}
	for {
		line, err := r.readLine()
		if err != nil {
			r.err = err
			return Op{}, err
		}
		op, ok := parse(line)
		if !ok {
			// Comments come here too, to keep them off the common path.
			if len(line) > 0 && line[0] == '#' && !endsInCR(line) {
				continue
			}
			return r.fail(string(line), explain(string(line), r.check.threads))
		}
		if err := r.check.Check(op); err != nil {
			return r.fail("", err)
		}
		return op, nil
	}
}

func (r *Reader) fail(text string, err error) (Op, error) {
	r.err = &Error{Path: r.path, Line: r.line, Text: text, Err: err}
	return Op{}, r.err
}

// readLine returns the next line without its line feed. It is valid until the next call. The error
// is io.EOF after the last line, or an *Error.
func (r *Reader) readLine() ([]byte, error) {
	for {
		unread := r.buf[r.pos:r.end]
		if n := bytes.IndexByte(unread, '\n'); n >= 0 {
			r.pos += n + 1
			r.line++
			return unread[:n], nil
		}
		if len(unread) == len(r.buf) {
			return nil, r.lineError(unread, fmt.Errorf("line longer than %d bytes", maxLine))
		}
		switch {
		case r.srcErr == nil:
			r.fill()
		case r.srcErr != io.EOF:
			return nil, r.lineError(nil, r.sourceError(r.srcErr))
		case len(unread) > 0:
			return nil, r.lineError(unread, errCut)
		default:
			return nil, io.EOF
		}
	}
}

// fill moves the unread bytes to the start of the buffer and reads more after them, at least one
// byte unless srcErr is set.
func (r *Reader) fill() {
	r.end = copy(r.buf, r.buf[r.pos:r.end])
	r.pos = 0
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.srcErr = err
		if n > 0 || err != nil {
			return
		}
	}
	r.srcErr = io.ErrNoProgress
}

var errCut = fmt.Errorf("the trace is cut short: its last line does not end in a line feed: %w", io.ErrUnexpectedEOF)

func (r *Reader) lineError(text []byte, err error) error {
	return &Error{Path: r.path, Line: r.line + 1, Text: string(text), Err: err}
}

// sourceError returns the error of a source, in this package's words if it concerns the gzip data.
func (r *Reader) sourceError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case r.gzip && errors.Is(err, io.ErrUnexpectedEOF), r.gzip && err == io.EOF:
		return fmt.Errorf("the trace is cut short: the gzip data ends too early: %w", io.ErrUnexpectedEOF)
	case r.gzip && (errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt)):
		return fmt.Errorf("the gzip data is damaged: %w", err)
	}
	return fmt.Errorf("reading failed: %w", err)
}

// parse parses the line of an event. If it returns false, explain returns the reason. Both must
// accept the same lines.
func parse(line []byte) (op Op, ok bool) {
	if len(line) == 0 {
		return op, false
	}
	op.Kind = Kind(line[0])
	thread, rest, ok := number(line[1:])
	if !ok || thread > maxThread {
		return op, false
	}
	op.Thread = int(thread)
	switch op.Kind {
	case Malloc, Calloc:
		if op.ID, rest, ok = number(rest); ok {
			op.Size, rest, ok = number(rest)
		}
	case Free:
		op.ID, rest, ok = number(rest)
	case Realloc:
		if op.Old, rest, ok = number(rest); ok {
			if op.ID, rest, ok = number(rest); ok {
				op.Size, rest, ok = number(rest)
			}
		}
	case Aligned:
		if op.ID, rest, ok = number(rest); ok {
			if op.Size, rest, ok = number(rest); ok {
				op.Align, rest, ok = number(rest)
			}
		}
	default:
		return op, false
	}
	return op, ok && len(rest) == 0
}

// maxThread keeps a thread number within int on every platform. No trace has 2^31 threads, so a
// greater number is out of order in any case.
const maxThread = 1<<31 - 1

// number removes a space and a number from the front of b. It fails if they are missing, or if the
// number has a leading zero or overflows.
func number(b []byte) (v uint64, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != ' ' {
		return 0, b, false
	}
	i := 1
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
	}
	switch digits := i - 1; {
	case digits == 0, b[1] == '0' && digits > 1, digits > 20:
		return 0, b, false
	case digits == 20:
		// 2^64 is 1.8e19, so the number must begin with 1 to fit. If it does and overflows, v is
		// below 2e19 - 2^64 = 0.16e19.
		if b[1] != '1' || v < 1e19 {
			return 0, b, false
		}
	}
	return v, b[i:], true
}

var errCR = errors.New("the line ends in CR LF: lines of a trace end in LF alone " +
	"(convert the file, and keep version control from converting it back)")

func endsInCR[T string | []byte](line T) bool { return len(line) > 0 && line[len(line)-1] == '\r' }

// explain returns why parse refuses line, given the number of threads so far.
func explain(line string, threads int) error {
	switch {
	case line == "":
		return errors.New("empty line")
	case endsInCR(line):
		return errCR
	}
	fields := strings.Split(line, " ")
	for _, f := range fields {
		if f == "" {
			return errors.New("fields are separated by exactly one space, with none at either end")
		}
	}
	form := Kind(line[0]).form()
	if len(fields[0]) > 1 || form == "" {
		return unknownKind(fields[0])
	}
	names := strings.Fields(form)
	if len(fields) != len(names) {
		return fmt.Errorf("%d fields instead of %d: %s", len(fields), len(names), form)
	}
	for i, f := range fields[1:] {
		name := names[i+1]
		if strings.Trim(f, "0123456789") != "" {
			return fmt.Errorf("%s %s is not an unsigned decimal number", name, quoted(f))
		}
		if len(f) > 1 && f[0] == '0' {
			return fmt.Errorf("%s %s has a leading zero", name, quoted(f))
		}
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return fmt.Errorf("%s %s does not fit in 64 bits", name, quoted(f))
		}
		if name == "THREAD" && v > maxThread {
			return wrongThread(v, threads)
		}
	}
	return errors.New("malformed line")
}

// File is a trace opened by name: a [Reader] whose errors have the path. It must not be used by two
// goroutines at a time.
type File struct {
	r *Reader
	f *os.File
}

// Open opens the trace at path, plain text or gzip. See [NewReader] for what it checks. The caller
// must close the File.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{r, f}, nil
}

// Next returns the next event, as [Reader.Next] does.
func (f *File) Next() (Op, error) { return f.r.Next() }

// Close closes the file. Events cannot be read afterwards.
func (f *File) Close() error {
	if f.r.err == nil {
		_, _ = f.r.fail("", os.ErrClosed)
	}
	return f.f.Close()
}
