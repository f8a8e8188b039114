// Package target reads the memory of the process that a command line names: by the number of a
// process on this machine, or by a URL.
package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/procmem"
)

// Help describes the argument for the help of a command.
const Help = `URL is where a program serves the handler of package procmem/handler, such as
http://localhost:8080/debug/galloc/memory. Without a path, /debug/galloc/memory is
meant. Then all parts are known, and the stacks if the program has a heap profiler.

PID is the number of a process on this machine. Then only what the Linux kernel tells
apart is known: code, mapped files, C's heap, and what the Go runtime has named; all
other memory is "anonymous".
`

// A Target is a process.
type Target struct {
	pid int
	url string // unless pid is set
}

// Parse returns the target that args name, which must be one.
func Parse(args []string) (Target, error) {
	switch {
	case len(args) == 0:
		return Target{}, cli.Usagef("which process? write a URL or a PID")
	case len(args) > 1:
		return Target{}, cli.Usagef("%q: write one URL or PID, after the flags", args[1])
	}
	arg := args[0]
	if pid, err := strconv.Atoi(arg); err == nil {
		if pid <= 0 {
			return Target{}, cli.Usagef("%s is not the number of a process", arg)
		}
		return Target{pid: pid}, nil
	}
	u, err := url.Parse(arg)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Target{}, cli.Usagef("%q is neither the number of a process nor a URL that begins with http:// or https://", arg)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/debug/galloc/memory"
	}
	return Target{url: u.String()}, nil
}

// String names the target.
func (t Target) String() string {
	if t.pid != 0 {
		return "process " + strconv.Itoa(t.pid)
	}
	return t.url
}

// Limits of an answer.
const (
	timeout = time.Minute
	maxSize = 64 << 20 // bytes
)

// Read returns the memory of the target.
func (t Target) Read(ctx context.Context) (*procmem.Snapshot, error) {
	if t.pid != 0 {
		return procmem.ReadProcess(t.pid)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		var cause *url.Error // which repeats the method
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("%s: %w", t.url, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", t.url, err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s: %.200s", t.url, response.Status, printable(strings.TrimSpace(string(text))))
	case len(text) > maxSize:
		return nil, fmt.Errorf("%s: the answer is longer than %d bytes", t.url, maxSize)
	}
	s, err := procmem.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (does the program serve procmem/handler there?)", t.url, err)
	}
	s.Allocator = printable(s.Allocator)
	for i := range s.Sites {
		s.Sites[i].Place = printable(s.Sites[i].Place)
	}
	return s, nil
}

// printable returns text without what could change the state of a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
