package convert

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/trace"
)

// command runs galloc convert on a file with the given text.
func command(t *testing.T, text string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in", []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return clitest.Run(t.Context(), []cli.Command{Command}, append(append([]string{"convert"}, args...), "in")...)
}

const (
	rawText = `v 10400 3
x 9 /usr/bin/x
X ./x -v 1
I 1000 5e298d
m 1 x 561229a2c000 0 778 1000 275
t 7f44954bdb9f 0
s 3 a b
+ 11c00 4 56125dc20530
+ 18 8 56125dc321d0
- 56125dc321d0
c 1
+ 64 9 56125dc321d0
- 56125dc20530
- 99
R 3a8
`
	kindsText = `v 10500 3
X ./x
s a operator new
t 1 0
i 7f8 8 0 b 0
a 18 4
+ 0
+ 0
a 40 4
+ 1
- 0
- 1
A
- 0
`
	mtraceText = `= Start
@ ./a b:[0x11b0] + 0x55e63a2f32a0 0x18
@ ./a b:[0x11c5] < 0x55e63a2f32a0
@ ./a b:[0x11c5] > 0x55e63a2f34a0 0x64
@ ./a b:[0x11c5] ! 0x55e63a2f34a0 0x7fffffff
+ 0x10 0
- 0x10
@ ./a b:[0x1208] + 0x55e63a2f32a0 0x30
@ libc.so.6:(__strdup+1a)[0x9e9aa] + 0x55e63a2f34a0 0x6
@ ./a b:[0x11fe] - 0x77
= End
`
	androidText = `186: malloc 0xb6038060 24
187: calloc 0xb6038100 3 50 100 120
187: memalign 0xb6039000 64 200
186: realloc 0xb6038200 0xb6038060 100
186: realloc 0xb6038300 0x0 8
188: realloc 0x0 0xb6038300 0
187: free 0xb6038100 500 501
187: free 0x0
188: malloc 0x0 99999
188: realloc 0xb6038400 0xdead 5
187: thread_done 0x0
`
	repText = "20000\n3\n7\n1\na 0 512\na 1 128\nr 0 640\n\nf 1\nr 1 16\nf -1\nf 0"
)

func TestFormats(t *testing.T) {
	for _, c := range []struct{ name, text, want, stderr string }{
		{
			"heaptrack raw", rawText, "m 0 1 72704|m 0 2 24|f 0 2|m 0 3 100|f 0 1",
			"heaptrack: 5 events, 3 objects, 1 threads\n  1 frees of unknown addresses were left out\n",
		},
		{"heaptrack", kindsText, "m 0 1 24|m 0 2 24|m 0 3 64|f 0 2|f 0 3|f 0 1", "heaptrack: 6 events, 3 objects"},
		{
			"mtrace", mtraceText, "m 0 1 24|r 0 1 2 100|m 0 3 0|f 0 3|m 0 4 48|f 0 2|m 0 5 6",
			"mtrace: 7 events, 5 objects, 1 threads\n  1 allocations at an address in use...\n" +
				"  1 frees of unknown addresses...\n  1 calls that had failed were left out\n",
		},
		{
			"android", androidText,
			"m 0 1 24|c 1 2 150|a 1 3 200 64|r 0 1 4 100|r 0 0 5 8|f 2 5|f 1 2|r 2 0 6 5",
			"android: 8 events, 6 objects, 3 threads\n  1 reallocs of unknown addresses...  1 calls that had failed",
		},
		{"rep", repText, "m 0 1 512|m 0 2 128|r 0 1 3 640|f 0 2|r 0 0 4 16|f 0 3", "rep: 6 events, 4 objects"},
		{"rep with CR LF", strings.ReplaceAll(repText, "\n", "\r\n"), "m 0 1 512|m 0 2 128|r 0 1 3 640|f 0 2|r 0 0 4 16|f 0 3", "rep: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := command(t, c.text)
			want := "# malloctrace 1\n" + strings.ReplaceAll(c.want, "|", "\n") + "\n"
			if status != cli.ExitOK || stdout != want {
				t.Errorf("exit status %d, the trace is\n%s", status, stdout)
			}
			clitest.WantText(t, "stderr", stderr, "galloc convert: "+c.stderr)
		})
	}
}

// Each malformed recording is refused with the number of the line and the reason, and leaves no
// trace.
func TestMalformed(t *testing.T) {
	const v, r, m = "v 10400 3\n", "1\n2\n3\n1\n", "= Start\n"
	for text, want := range map[string]string{
		"":                                         "in:1: the file is empty",
		"hello\n":                                  `in:1: "hello": the first line is of no known format (heaptrack, mtrace, android, rep)`,
		"# malloctrace 1\n":                        "the file is a trace already",
		"\x28\xb5\x2f\xfd rest":                    "in:1: the file is compressed by zstd: pass the output of zstd -dc",
		"\x1f\x8b not gzip":                        "in:1: gzip: ",
		"v 10400\n":                                `in:1: "v 10400": the line has 2 fields: the form is v VERSION FILEVERSION`,
		"v 10400 4\n":                              "version 4 of the file format is unknown",
		"v 10400 x\n":                              `"x" is not a hexadecimal number`,
		v + "+ 18 8 5\n- ":                         "in:3: \"- \": the last line has no line feed, the file was cut short",
		v + "+ 18 8\n":                             "in:2: \"+ 18 8\": the line has 3 fields",
		v + "+ 18 8 5 6\n":                         "the line has 5 fields",
		v + "+ 18 8 g\n":                           `"g" is not a hexadecimal number of at most 64 bits`,
		v + "+ 18 8 11112222333344445":             "cut short",
		v + "+ 18 8 11112222333344445\n":           "at most 64 bits",
		v + "+ ffffffffffffffff 8 5\n":             "in:2: \"+ ffffffffffffffff 8 5\": size 18446744073709551615 with alignment 16 is over the limit",
		v + "+ 0\n":                                "kind 0 was not described: there are 0 lines",
		v + "a 18 4\n+ 0\n- 0\n- 0\n":              "in:5: \"- 0\": no block of this kind is in use",
		v + "a 18 4\n+ 0\n- 1\n":                   "kind 1 was not described",
		v + "a 18 4\n+ 0\n+ 18 8 5\n":              "the file has two forms",
		v + "a 18\n":                               "the form is a SIZE STACK",
		v + "- 1 2\n":                              "the form is - ADDRESS, or - KIND",
		v + "? 1\n":                                "in:2: \"? 1\": unknown line",
		v + " \n":                                  "the line has blanks only",
		m + "@ ./a:[0x1] + 0x10\n":                 "in:2: \"@ ./a:[0x1] + 0x10\": the line has no +, -, <, > or !",
		m + "@ ./a:[0x1] + 0x10 24\n":              `"24" is not a hexadecimal number with 0x`,
		m + "a:[0x1] - 0x10\n":                     "the line begins neither with @",
		m + "+ 0x10 0x18\n< 0x10\n- 0x10\n":        "in:4: \"- 0x10\": a line with < must be followed by one with >",
		m + "> 0x10 0x18\n":                        "in:2: \"> 0x10 0x18\": a line with < must",
		m + "+ 0x10 0x18\n< 0x10\n":                "in:3: the file ends within a realloc",
		m + "+ 0x1x 0x18\n":                        `"0x1x" is not a hexadecimal number of at most`,
		"1: free 0x1 2\n":                          `free has 2 arguments: the form is THREAD: free ADDRESS, and two times or none`,
		"1: free 0x1\n2 free 0x1\n":                "in:2: \"2 free 0x1\": the form is THREAD: CALL ADDRESS, and more numbers",
		"1: free 0x1\n2: release 0x1\n":            `unknown call "release"`,
		"1: free 0x1\nx: free 0x1\n":               `"x" is not a decimal number`,
		"1: malloc 0x1 0x10\n":                     `"0x10" is not a decimal number`,
		"1: malloc 16 16\n":                        `"16" is not a hexadecimal number with 0x`,
		"1: calloc 0x1 4294967296 4294967296\n":    "the product of COUNT and SIZE has more than 64 bits",
		"1: memalign 0x1 3 10\n":                   "in:1: \"1: memalign 0x1 3 10\": alignment 3 is not a power of two",
		"1: free 0x1\n1: free 0x1":                 "in:2: \"1: free 0x1\": the last line has no line feed",
		"1\n2\n":                                   "in:2: the file ends within its first four lines",
		"1\na 0 1\n":                               "in:2: \"a 0 1\": the first four lines must have one decimal number each",
		r + "a 0 1\na 1 1\n":                       "in:6: the file ends after 2 of 3 calls",
		r + "a 0 1\na 0 1\nf 0\n":                  "in:6: \"a 0 1\": block 0 is in use",
		r + "a 2 1\n":                              "block 2 is not below the 2 blocks of the header",
		r + "f 1\n":                                "in:5: \"f 1\": block 1 is not in use",
		r + "a 0\n":                                "the line has 2 fields: the form is a ID SIZE",
		r + "a 0 -1\n":                             `"-1" is not a decimal number`,
		r + "q 0 1\n":                              `unknown call "q"`,
		r + "a 0 1\nf 0\na 0 1\nf 0\n":             "in:8: \"f 0\": there are more calls than the 3 of the header",
		r + "a 0 99999999999999999999999\n":        "at most 64 bits",
		"v " + strings.Repeat("1", maxLine) + "\n": "in:1: the line is longer than 1048576 bytes",
	} {
		status, _, stderr := command(t, text, "-o", "out.trace.gz")
		if status != cli.ExitFailure || !strings.HasPrefix(stderr, "galloc convert: in:") || !strings.Contains(stderr, want) {
			t.Errorf("%.60q: exit status %d: %s\nwant %s", text, status, stderr, want)
		}
		if _, err := os.Stat("out.trace.gz"); err == nil {
			t.Errorf("%.60q: a trace is left", text)
		}
	}
}

// With -strict a recording that lacks calls is refused.
func TestStrict(t *testing.T) {
	for text, want := range map[string]string{
		rawText:     "in:14: \"- 99\": no block that is in use has this address",
		mtraceText:  "in:9: ...the address is in use: a free is missing",
		androidText: "in:10: ...no block that is in use",
	} {
		status, _, stderr := command(t, text, "-strict")
		if status != cli.ExitFailure {
			t.Errorf("exit status %d", status)
		}
		clitest.WantText(t, "stderr", stderr, want)
	}
	if status, _, stderr := command(t, repText, "-strict"); status != cli.ExitOK {
		t.Error(stderr)
	}
}

// Compressed input and output, and the flags.
func TestFiles(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(z, androidText); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := command(t, zipped.String(), "-from", "android", "-o", "out.trace.gz")
	if status != cli.ExitOK || stdout != "" {
		t.Errorf("exit status %d, %s%s", status, stdout, stderr)
	}
	f, err := trace.Open("out.trace.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := count(t, f); n != 8 {
		t.Errorf("%d events", n)
	}
	if status, _, stderr := command(t, zipped.String()[:zipped.Len()-9]); status != cli.ExitFailure || !strings.Contains(stderr, "unexpected EOF") {
		t.Errorf("a file that was cut: exit status %d, %s", status, stderr)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, cli.ExitOK, ""},
		{nil, cli.ExitUsage, "write one FILE"},
		{[]string{"a", "b"}, cli.ExitUsage, "write one FILE"},
		{[]string{"-from", "valgrind", "in"}, cli.ExitUsage, "-from valgrind: the formats are heaptrack, mtrace, android, rep"},
		{[]string{"missing"}, cli.ExitFailure, "missing"},
		{[]string{"."}, cli.ExitFailure, "galloc convert: . is a directory"},
		{[]string{"-o", filepath.Join("no", "dir"), "in"}, cli.ExitFailure, "no"},
	} {
		status, _, stderr := clitest.Run(t.Context(), []cli.Command{Command}, append([]string{"convert"}, c.args...)...)
		if status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit status %d, %s", c.args, status, stderr)
		}
	}
	var stderr2 bytes.Buffer
	if status := cli.Run(t.Context(), []cli.Command{Command}, []string{"convert", "in"}, &clitest.Full{}, &stderr2); status != cli.ExitFailure {
		t.Errorf("a full disk: exit status %d", status)
	}
}

// A long conversion ends when it is interrupted.
func TestInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := conversion{path: "in", bar: cli.NewBar(io.Discard, 1)}
	text := strings.NewReader("1: free 0x0\n" + strings.Repeat("1: free 0x0\n", 5000))
	if err := c.convert(ctx, text, trace.NewWriter(io.Discard)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func count(t *testing.T, s trace.Source) (n int) {
	t.Helper()
	for {
		_, err := s.Next()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// Each input results in an error with its place, and in a trace that can be read.
func FuzzConvert(f *testing.F) {
	for _, text := range []string{rawText, kindsText, mtraceText, androidText, repText} {
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, strict bool) {
		for _, from := range []string{"", "heaptrack", "mtrace", "android", "rep"} {
			var b bytes.Buffer
			out := trace.NewWriter(&b)
			c := conversion{path: "in", from: from, strict: strict, bar: cli.NewBar(io.Discard, 1)}
			err := c.convert(t.Context(), strings.NewReader(text), out)
			if closed := out.Close(); closed != nil {
				t.Fatal(closed)
			}
			r, bad := trace.NewReader(&b)
			if bad != nil {
				t.Fatal(bad)
			}
			if n := count(t, r); n != c.events {
				t.Errorf("%d events were written, and %d are read", c.events, n)
			}
			var place *trace.Error
			if err != nil && (!errors.As(err, &place) || place.Line < 1 || place.Line > strings.Count(text, "\n")+1) {
				t.Errorf("the error has no place: %v", err)
			}
		}
	})
}
