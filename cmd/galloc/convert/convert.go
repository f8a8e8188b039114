// Package convert is the command galloc convert, which translates recordings of other tools to
// traces. convert.go is the command line, writer.go makes the events, and each format has a file.
package convert

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/trace"
)

const help = `usage: galloc convert [flags] FILE

Translates a recording of allocations to a trace, malloctrace 1, which galloc replay
and galloc stat read. FILE may be compressed by gzip; - is standard input.

The formats, which are recognized by their first lines:
  heaptrack  the output of heaptrack, raw or not (if it ends in .zst: zstd -dc FILE |
             galloc convert -). The usual form does not say which of the blocks of one
             size and stack is freed: the newest is meant. A realloc is a free and a
             malloc, as in the recording.
  mtrace     the file that glibc writes for mtrace(3). It has one thread.
  android    the text of Android's memory_replay, or record_allocs of malloc debug
  rep        the traces of the Malloc Lab of CS:APP

A recording may begin late or lack calls. An allocation at an address that is in use
ends the block there; a free of an unknown address is left out; a realloc of an unknown
address allocates. The command reports how many there were; with -strict, the first is
an error. Calls that have failed are left out.

Flags, before FILE:
%s
Examples:
  galloc convert -o program.trace.gz heaptrack.program.gz && galloc replay program.trace.gz
  zstd -dc heaptrack.program.zst | galloc convert - >program.trace
  galloc convert -from mtrace -strict -o program.trace mtrace.log

The exit status is 1 if FILE is malformed; the error has the number of the line, and no
trace is left. It is 2 if the command line is wrong.
`

// Command is galloc convert.
var Command = cli.Command{
	Name:  "convert",
	Usage: "[flags] FILE  translate a recording of another tool to a trace",
	Run:   run,
}

// A format is a kind of recording.
type format struct {
	name string
	// first reports whether a recording may begin with this line.
	first func(line string) bool
	// open returns the function for each line, and a function for the end of the recording.
	open func(*writer) (line func(text string) error, end func() error)
	// loose says that the last line may lack its line feed.
	loose bool
}

var formats = []format{heaptrack, mtrace, android, rep}

func formatNames() string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("convert", flag.ContinueOnError)
	from := flags.String("from", "", "`format` of FILE, if it cannot be recognized: "+formatNames())
	to := flags.String("o", "", "write the trace to `TRACE`, compressed if that ends in .gz, instead of to\nstandard output")
	strict := flags.Bool("strict", false, "refuse a recording that lacks calls")
	if err := cli.ParseFlags(flags, args, help, stdout); err != nil {
		return err
	}
	known := func(f format) bool { return f.name == *from }
	switch {
	case flags.NArg() != 1:
		return cli.Usagef("write one FILE, or - for standard input")
	case *from != "" && !slices.ContainsFunc(formats, known):
		return cli.Usagef("-from %s: the formats are %s", *from, formatNames())
	}
	in, size, err := open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out := trace.NewWriter(stdout)
	if *to != "" {
		if out, err = trace.Create(*to); err != nil {
			return err
		}
	}
	c := conversion{path: flags.Arg(0), from: *from, strict: *strict, bar: cli.NewBar(stderr, 1), size: size}
	err = c.convert(ctx, in, out)
	if closed := out.Close(); err == nil && closed != nil {
		err = cli.Printed(closed)
	}
	if err != nil {
		if *to != "" {
			_ = os.Remove(*to)
		}
		return err
	}
	_, err = fmt.Fprint(stderr, c.summary())
	return err
}

// open opens a file, and returns its size, or 0 if that is not known.
func open(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// A conversion is one run of the command.
type conversion struct {
	path, from string
	strict     bool
	bar        *cli.Bar
	size       int64

	format string // that was used
	writer
}

// maxLine is the greatest length of a line in bytes. Names of functions can be very long.
const maxLine = 1 << 20

// A position counts the bytes that are read through it.
type position struct {
	r io.Reader
	n int64
}

func (p *position) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	return n, err
}

// convert writes the events of the recording in r to out, which it does not close.
func (c *conversion) convert(ctx context.Context, r io.Reader, out *trace.Writer) error {
	c.writer = writer{out: out, strict: c.strict, live: map[uint64]uint64{}, threads: map[uint64]int{}}
	at := &position{r: r}
	text := bufio.NewReaderSize(at, 64<<10)
	number := 0
	fail := func(line string, err error) error {
		return &trace.Error{Path: c.path, Line: max(number, 1), Text: line, Err: err}
	}
	switch magic, _ := text.Peek(4); {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(text)
		if err != nil {
			return fail("", err)
		}
		text = bufio.NewReaderSize(z, 64<<10)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return fail("", errors.New("the file is compressed by zstd: pass the output of zstd -dc to galloc convert -"))
	}
	c.bar.Start("convert")
	defer c.bar.Finish()
	var f *format
	var line func(string) error
	var end func() error
	for {
		number++
		words, whole, err := readLine(text)
		if err == io.EOF {
			break
		} else if err != nil {
			return fail("", err)
		}
		if f == nil {
			if f, err = c.recognize(words); err != nil {
				return fail(words, err)
			}
			c.format = f.name
			line, end = f.open(&c.writer)
		}
		if !whole && !f.loose {
			return fail(words, fmt.Errorf("the last line has no line feed, the file was cut short: %w", io.ErrUnexpectedEOF))
		}
		if err := line(words); err != nil {
			return fail(words, flatten(err))
		}
		if number%4096 == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if c.size > 0 {
				c.bar.Progress(float64(at.n) / float64(c.size))
			}
		}
	}
	if f == nil {
		return fail("", fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF))
	}
	number--
	if err := end(); err != nil {
		return fail("", err)
	}
	return nil
}

// flatten removes the place in the trace from an error of trace.Writer: the place in the recording
// is the one to look at.
func flatten(err error) error {
	var e *trace.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// recognize returns the format of a recording that begins with a line.
func (c *conversion) recognize(line string) (*format, error) {
	for i := range formats {
		if f := &formats[i]; f.name == c.from || c.from == "" && f.first(line) {
			return f, nil
		}
	}
	if strings.HasPrefix(line, "# malloctrace ") {
		return nil, errors.New("the file is a trace already")
	}
	return nil, fmt.Errorf("the first line is of no known format (%s): -from names one", formatNames())
}

// readLine returns the next line without its line feed, and whether it had one. The error is io.EOF
// after the last.
func readLine(r *bufio.Reader) (line string, whole bool, err error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		long = append(long, part...)
		switch {
		case len(long) > maxLine:
			return "", false, fmt.Errorf("the line is longer than %d bytes", maxLine)
		case err == nil:
			return strings.TrimSuffix(string(long[:len(long)-1]), "\r"), true, nil
		case err == io.EOF && len(long) > 0:
			return strings.TrimSuffix(string(long), "\r"), false, nil
		case err != bufio.ErrBufferFull:
			return "", false, err
		}
	}
}

// summary returns what the command reports in the end.
func (c *conversion) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "galloc convert: %s: %s events, %s objects, %d threads\n",
		c.format, cli.Thousands(c.events), cli.Thousands(int(c.born)), len(c.threads))
	for _, n := range []struct {
		count int
		what  string
	}{
		{c.lostFrees, "allocations at an address in use: the block there was ended first"},
		{c.unknownFrees, "frees of unknown addresses were left out"},
		{c.unknownReallocs, "reallocs of unknown addresses became allocations"},
		{c.failed, "calls that had failed were left out"},
	} {
		if n.count > 0 {
			fmt.Fprintf(&b, "  %s %s\n", cli.Thousands(n.count), n.what)
		}
	}
	return b.String()
}
