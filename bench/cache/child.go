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

// Each measurement is made in a new process of the same executable, with the arguments
//
//	-measure-in-this-process SPEC
//
// where SPEC is a spec as JSON. It answers with messages, as JSON, on its standard output: any
// number that report progress, then one with the result. It ends when its standard input ends, so
// that it does not outlive its parent.

const childFlag = "-measure-in-this-process"

type message struct {
	Doing  string  `json:"doing,omitempty"`
	Result *result `json:"result,omitempty"`
}

// measureInChild measures a kind in a child process, and reports its progress. The child ends when
// ctx is done.
func measureInChild(ctx context.Context, k kind, s spec, tell func(what string)) (r result, err error) {
	s.Kind = k.name
	told, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	exe, err := os.Executable()
	if err != nil {
		return r, fmt.Errorf("cannot start a child process: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe, childFlag, string(told))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe() // open until the child has ended
	if err != nil {
		return r, err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("cannot start a child process: %w", err)
	}
	r, heard := listen(stdout, tell)
	if err := cmd.Wait(); err != nil {
		return r, whyEnded(err, stderr.String())
	}
	return r, heard
}

// listen reports the progress in the messages, and returns the result in the last one.
func listen(from io.Reader, tell func(what string)) (result, error) {
	for d := json.NewDecoder(from); ; {
		var m message
		switch err := d.Decode(&m); {
		case err == io.EOF:
			return result{}, errors.New("the process ended without a result")
		case err != nil:
			_, _ = io.Copy(io.Discard, from) // so that the child does not block on a full pipe
			return result{}, fmt.Errorf("the output of the process cannot be parsed: %w", err)
		case m.Result != nil:
			_, _ = io.Copy(io.Discard, from)
			return *m.Result, nil
		}
		tell(m.Doing)
	}
}

// whyEnded returns the error of a child that failed, with its output.
func whyEnded(err error, printed string) error {
	const most = 20
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	if len(lines) > most {
		lines = append(lines[:most], "...")
	}
	printed = strings.Join(lines, "\n    ")
	switch {
	case strings.Contains(err.Error(), "killed"):
		return fmt.Errorf("%w, perhaps because memory ran out: try fewer -entries", err)
	case printed == "":
		return err
	}
	return errors.New(printed)
}

// child is the measuring process. It returns the exit status.
func child(told string, stdin io.Reader, stdout, stderr io.Writer) int {
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(exitInterrupted)
	}()
	var s spec
	if err := json.Unmarshal([]byte(told), &s); err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	chosen, err := parseKinds(s.Kind)
	if err != nil || len(chosen) != 1 || s.Entries < 1 || s.Rate < 1 {
		fmt.Fprintf(stderr, "%s is not a valid spec: this program uses the flag itself\n", told)
		return exitUsage
	}
	out := json.NewEncoder(stdout)
	r, err := measure(chosen[0], s,
		func(what string) { _ = out.Encode(message{Doing: what}) }) // the result will fail too
	if err == nil {
		err = out.Encode(message{Result: &r})
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return exitOK
}
