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

// Each measurement is a process of its own, of the same executable, called with
//
//	-measure-in-this-process SPEC
//
// with a spec as JSON. It answers with messages, as JSON, on its standard output: any number that tell what it is doing, then
// one with the result. It ends when its standard input does, so that it does not go on when nobody listens any more.

const childFlag = "-measure-in-this-process"

type message struct {
	Doing  string  `json:"doing,omitempty"`
	Result *result `json:"result,omitempty"`
}

// measureInChild has a child process measure a kind, and passes on what it is doing. When ctx ends, so does the child.
func measureInChild(ctx context.Context, k kind, s spec, tell func(what string)) (r result, err error) {
	s.Kind = k.name
	told, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	exe, err := os.Executable()
	if err != nil {
		return r, fmt.Errorf("cannot start a process for it: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe, childFlag, string(told))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe() // open until it has ended
	if err != nil {
		return r, err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("cannot start a process for it: %w", err)
	}
	r, heard := listen(stdout, tell)
	if err := cmd.Wait(); err != nil {
		return r, whyEnded(err, stderr.String())
	}
	return r, heard
}

// listen passes on what messages tell, and returns the result in the last one.
func listen(from io.Reader, tell func(what string)) (result, error) {
	for d := json.NewDecoder(from); ; {
		var m message
		switch err := d.Decode(&m); {
		case err == io.EOF:
			return result{}, errors.New("the process has ended without a result")
		case err != nil:
			_, _ = io.Copy(io.Discard, from) // it must not wait for us
			return result{}, fmt.Errorf("the process says what is not understood: %w", err)
		case m.Result != nil:
			_, _ = io.Copy(io.Discard, from)
			return *m.Result, nil
		}
		tell(m.Doing)
	}
}

// whyEnded returns what is to be said of a child that has failed and printed something.
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
		fmt.Fprintf(stderr, "%s is not what this program says to itself\n", told)
		return exitUsage
	}
	out := json.NewEncoder(stdout)
	r, err := measure(chosen[0], s, func(what string) { _ = out.Encode(message{Doing: what}) }) // the result will fail too
	if err == nil {
		err = out.Encode(message{Result: &r})
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return exitOK
}
