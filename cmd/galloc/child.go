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

// measureInChild has a child process do one measurement. What goes wrong with it is in the
// Error of the result; an error says that there is no point in going on.
func measureInChild(ctx context.Context, o options, t traceFile, alloc string, bar *bar) (result, error) {
	s := spec{Alloc: alloc, Shipped: t.shipped, Rounds: o.rounds, Patient: o.patient, Check: o.check, Threads: o.threads}
	told, err := json.Marshal(s)
	if err != nil {
		return result{}, err
	}
	exe, err := os.Executable()
	if err != nil {
		return result{}, noProcess(err)
	}
	cmd := exec.CommandContext(ctx, exe, measureCommand, string(told), t.path)
	var crash bytes.Buffer
	cmd.Stderr = &crash
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, noProcess(err)
	}
	if err := cmd.Start(); err != nil {
		return result{}, noProcess(err)
	}
	r, err := listen(answers, bar)
	if ended := cmd.Wait(); ended != nil {
		err = ended
	}
	if ctx.Err() != nil {
		return result{}, ctx.Err()
	}
	if err != nil {
		r = result{Alloc: alloc, Error: "the measuring process failed: " + whyEnded(err, crash.Bytes())}
	}
	r.Trace = t.label
	if !t.shipped {
		r.File = t.path
	}
	return r, nil
}

func noProcess(err error) error {
	return fmt.Errorf("cannot start a process for each measurement: %w", err)
}

// listen shows the progress that the child tells of, and returns its result.
func listen(answers io.Reader, bar *bar) (result, error) {
	var last message
	for d := json.NewDecoder(answers); ; {
		var m message
		if err := d.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			_, _ = io.Copy(io.Discard, answers) // it must not wait for us
			return result{}, fmt.Errorf("its answer is not understood: %w", err)
		}
		bar.progress(m.Done)
		last = m
	}
	if last.Result == nil {
		return result{}, errors.New("it ended without a result")
	}
	return *last.Result, nil
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
