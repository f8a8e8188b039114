package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Each measurement has a process of its own, so that it starts with a fresh allocator and
// with none registered. The process is
//
//	galloc measure SPEC PATH
//
// of the same executable. It is told what to do by a spec, as JSON, and the path of the
// trace, apart from it since a path need not be valid text. It answers with messages, as
// JSON, on stdout. This file is the side that starts it; measure.go is the other.

const measureCommand = "measure"

// A spec is what the measuring process is told, besides the path of the trace.
type spec struct {
	Alloc   string `json:"alloc"`
	Shipped bool   `json:"shipped"` // the path is the name of a shipped trace
	Rounds  int    `json:"rounds"`
	Patient bool   `json:"patient"` // all Rounds, however long they take
	Check   bool   `json:"check"`
	Threads bool   `json:"threads"`
}

// A message comes from the measuring process: any number without a Result, then one with.
type message struct {
	Done   float64 `json:"done"` // how much of the measurement, 0 to 1
	Result *result `json:"result,omitempty"`
}

func (m message) final() bool { return m.Result != nil }

// measureInChild has a child process do one measurement. What goes wrong with it is in the
// Error of the result; an error says that there is no point in going on.
func measureInChild(ctx context.Context, o options, t traceFile, alloc string, bar *bar) (result, error) {
	s := spec{Alloc: alloc, Shipped: t.shipped, Rounds: o.rounds, Patient: o.patient, Check: o.check, Threads: o.threads}
	told, err := json.Marshal(s)
	if err != nil {
		return result{}, err
	}
	child, err := newChild(ctx, measureCommand, string(told), t.path)
	if err != nil {
		return result{}, err
	}
	last, failure, err := converse(child, func(m message) { bar.progress(m.Done) })
	switch {
	case err != nil:
		return result{}, err
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	}
	r := result{Alloc: alloc, Error: "the measuring process failed: " + failure}
	if failure == "" {
		r = *last.Result
	}
	r.Trace = t.label
	if !t.shipped {
		r.File = t.path
	}
	return r, nil
}

// newChild returns a process of this executable that ends with ctx, to be started.
func newChild(ctx context.Context, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, noProcess(err)
	}
	return exec.CommandContext(ctx, exe, args...), nil
}

// converse runs a child process and passes on what it tells. It returns the last message, which
// is the final one unless there is a failure. An error says that it could not be started.
func converse[M interface{ final() bool }](child *exec.Cmd, hear func(M)) (last M, failure string, err error) {
	var crash bytes.Buffer
	child.Stderr = &crash
	answers, err := child.StdoutPipe()
	if err != nil {
		return last, "", noProcess(err)
	}
	if err := child.Start(); err != nil {
		return last, "", noProcess(err)
	}
	last, why := listen(answers, hear)
	if ended := child.Wait(); ended != nil {
		why = ended
	}
	if why != nil {
		failure = whyEnded(why, crash.Bytes())
	}
	return last, failure, nil
}

func noProcess(err error) error {
	return fmt.Errorf("cannot start a process for each measurement: %w", err)
}

// listen passes on the messages of a child, and returns the last.
func listen[M interface{ final() bool }](answers io.Reader, hear func(M)) (last M, err error) {
	for d := json.NewDecoder(answers); ; {
		var m M
		if err := d.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			_, _ = io.Copy(io.Discard, answers) // it must not wait for us
			return last, fmt.Errorf("its answer is not understood: %w", err)
		}
		hear(m)
		last = m
	}
	if !last.final() {
		return last, errors.New("it ended without a result")
	}
	return last, nil
}

// whyEnded describes how a process failed, with the first lines of what it printed: a
// crash says there what happened and where.
func whyEnded(err error, printed []byte) string {
	const most = 20
	var b strings.Builder
	b.WriteString(err.Error())
	if strings.Contains(err.Error(), "killed") {
		b.WriteString(" (by somebody, or by the system because memory ran out)")
	}
	n := 0
	for line := range bytes.Lines(bytes.TrimSpace(printed)) {
		if n++; n > most {
			b.WriteString("\n    ...")
			break
		}
		b.WriteString("\n    ")
		b.Write(bytes.TrimRight(line, "\r\n"))
	}
	return b.String()
}
