// Package clitest helps the tests of galloc's commands.
//
// A command measures in a child process, which starts the running executable: in a test, that is
// the test binary. So each TestMain calls [Main], which then does what the command would.
package clitest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
)

// BadChild is an environment variable. Set to "MODE ALLOC", it makes a child process that is to
// measure ALLOC fail in one of several ways: crash, garbage, silent, hang or killed.
const BadChild = "GALLOC_TEST_BAD_CHILD"

// Main is TestMain. If BadChild has another mode than those, other is called with the name of the
// allocator, and the child then goes on.
func Main(m *testing.M, commands []cli.Command, other func(alloc string)) {
	isChild := func(c cli.Command) bool { return len(os.Args) > 1 && c.Child == os.Args[1] }
	if slices.ContainsFunc(commands, isChild) {
		mode, alloc, _ := strings.Cut(os.Getenv(BadChild), " ")
		if mode != "" && strings.Contains(os.Args[2], `"alloc":"`+alloc+`"`) {
			if !misbehave(mode) {
				other(alloc)
			}
		}
		os.Exit(cli.Run(context.Background(), commands, os.Args[1:], os.Stdout, os.Stderr))
	}
	// With the race detector, each child would sleep for a second before it exits.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// misbehave does not return if it knows the mode.
func misbehave(mode string) bool {
	switch mode {
	case "crash":
		panic("a crash on purpose")
	case "garbage":
		fmt.Println(`{"done":0.5}`)
		fmt.Println("not an answer")
		fmt.Println(strings.Repeat("and much of it\n", 100_000)) // more than a pipe holds
	case "silent":
	case "hang":
		fmt.Println(`{"done":0.5}`)
		waitToBeKilled()
	case "killed":
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			panic(err)
		}
		waitToBeKilled()
	default:
		return false
	}
	os.Exit(0)
	return true
}

// waitToBeKilled waits for the parent to kill this process. The limit is for a parent that does
// not.
func waitToBeKilled() { time.Sleep(time.Minute) }

// NeedProcesses skips the test if the platform has no child processes.
func NeedProcesses(t *testing.T) {
	t.Helper()
	if !HasProcesses() {
		t.Skip("this platform has no child processes")
	}
}

// HasProcesses reports whether the platform has child processes.
func HasProcesses() bool { return runtime.GOOS != "js" && runtime.GOOS != "wasip1" }

// Run runs a command in this process.
func Run(ctx context.Context, commands []cli.Command, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = cli.Run(ctx, commands, args, &out, &errs)
	return status, out.String(), errs.String()
}

// WantText checks that the parts of want, which are separated by "...", are in got in this order.
// An empty want is for an empty output.
func WantText(t *testing.T, what, got, want string) {
	t.Helper()
	if want == "" && got != "" {
		t.Errorf("%s is not empty:\n%s", what, got)
	}
	rest := got
	for part := range strings.SplitSeq(want, "...") {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Errorf("%s is\n%s\nwhich lacks %q after what comes before it in %q", what, got, part, want)
			return
		}
		rest = after
	}
}

const okTrace = "# malloctrace 1\nm 0 1 24\nc 0 2 4096\nr 0 1 3 48\nf 0 2\n"

// InTraces changes the working directory to one with traces, good and bad.
func InTraces(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(okTrace)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ok.trace":       okTrace,
		"ok.trace.gz":    zipped.String(),
		"cut.trace.gz":   zipped.String()[:zipped.Len()-4],
		"sub dir/ok":     okTrace,
		"-dash.trace":    okTrace,
		"sqlite":         okTrace,
		"threads.trace":  "# malloctrace 1\nm 0 1 100\nm 1 2 50\nf 0 2\nf 1 1\n",
		"empty.trace":    "",
		"comments.trace": "# malloctrace 1\n# a\n# b\n",
		"text.trace":     "# malloctrace 1\nm 0 1 24\nhello\n",
		"version.trace":  "# malloctrace 2\nm 0 1 24\n",
		"twice.trace":    "# malloctrace 1\nm 0 1 24\nf 0 1\nf 0 1\n",
		"huge.trace":     "# malloctrace 1\nm 0 1 99999999999999999999999\n",
		"oom.trace":      fmt.Sprintf("# malloctrace 1\nm 0 1 24\nm 1 2 %d\n", math.MaxInt-4095),
		"sum.trace":      fmt.Sprintf("# malloctrace 1\nm 0 1 4095\nm 0 2 %d\nm 0 3 1\n", math.MaxInt-4095),
		"leak.trace":     "# malloctrace 1\nm 0 1 1000000\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// Full is a destination with room for some bytes.
type Full struct{ Room int }

func (f *Full) Write(b []byte) (int, error) {
	n := min(len(b), f.Room)
	f.Room -= n
	if n < len(b) {
		return n, errors.New("disk full")
	}
	return n, nil
}

// Canceling is a destination that calls Cancel when a certain text is written to it.
type Canceling struct {
	bytes.Buffer
	Text   string
	Cancel context.CancelFunc
}

func (c *Canceling) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.Text) {
		c.Cancel()
	}
	return c.Buffer.Write(b)
}

// Screen is a terminal that knows line feed and carriage return.
type Screen struct {
	rows   [][]rune
	Column int // of the cursor
}

func (s *Screen) Write(b []byte) (int, error) {
	if !utf8.Valid(b) {
		return 0, errors.New("half a character")
	}
	if s.rows == nil {
		s.rows = [][]rune{nil}
	}
	for _, c := range string(b) {
		row := &s.rows[len(s.rows)-1]
		switch c {
		case '\r':
			s.Column = 0
		case '\n':
			s.rows, s.Column = append(s.rows, nil), 0
		default:
			for len(*row) <= s.Column {
				*row = append(*row, ' ')
			}
			(*row)[s.Column] = c
			s.Column++
		}
	}
	return len(b), nil
}

// String returns the visible text.
func (s *Screen) String() string {
	var rows []string
	for _, row := range s.rows {
		rows = append(rows, strings.TrimRight(string(row), " "))
	}
	return strings.Join(rows, "\n")
}
