package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// Each measurement is made in a new process, so that it starts with a fresh allocator and with none
// registered. The process is this executable with the hidden command of a Command and, as JSON in
// the first argument, what to measure. It answers with messages, as JSON, on stdout: any number
// that report progress, then a final one with the result.

// A Message is what the process sends.
type Message interface{ Final() bool }

// NewChild returns a process of this executable, to be started. It is killed when ctx is done. what
// is passed as JSON, in front of args.
func NewChild(ctx context.Context, command string, what any, args ...string) (*exec.Cmd, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, NoProcess(err)
	}
	return exec.CommandContext(ctx, exe, append([]string{command, string(text)}, args...)...), nil
}

// Converse runs a child process and calls hear with each of its messages. It returns the last
// message, which is final unless failure says what went wrong with the process. An error means that
// the process could not be started.
func Converse[M Message](child *exec.Cmd, hear func(M)) (last M, failure string, err error) {
	var crash bytes.Buffer
	child.Stderr = &crash
	answers, err := child.StdoutPipe()
	if err != nil {
		return last, "", NoProcess(err)
	}
	if err := child.Start(); err != nil {
		return last, "", NoProcess(err)
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

// NoProcess wraps the error of starting a child process.
func NoProcess(err error) error {
	return fmt.Errorf("cannot start a process for each measurement: %w", err)
}

// listen calls hear with each message of a child, and returns the last one.
func listen[M Message](answers io.Reader, hear func(M)) (last M, err error) {
	for d := json.NewDecoder(answers); ; {
		var m M
		if err := d.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			_, _ = io.Copy(io.Discard, answers) // so that the child does not block on a full pipe
			return last, fmt.Errorf("its answer is not understood: %w", err)
		}
		hear(m)
		last = m
	}
	if !last.Final() {
		return last, errors.New("it ended without a result")
	}
	return last, nil
}

// whyEnded describes how a process failed, with the first lines that it printed to stderr: a crash
// prints there what happened and where.
func whyEnded(err error, stderr []byte) string {
	const maxLines = 20
	var b strings.Builder
	b.WriteString(err.Error())
	if strings.Contains(err.Error(), "killed") {
		b.WriteString(" (by a user, or by the system because memory ran out)")
	}
	n := 0
	for line := range bytes.Lines(bytes.TrimSpace(stderr)) {
		if n++; n > maxLines {
			b.WriteString("\n    ...")
			break
		}
		b.WriteString("\n    ")
		b.Write(bytes.TrimRight(line, "\r\n"))
	}
	return b.String()
}

// IgnoreInterrupts makes a child process ignore Ctrl-C, which a terminal sends to both processes,
// and SIGTERM, which the command timeout and process supervisors do: the parent decides when the
// child ends.
func IgnoreInterrupts() { signal.Ignore(os.Interrupt, syscall.SIGTERM) }
