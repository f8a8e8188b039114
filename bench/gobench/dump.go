package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/trace"
)

// gobench dump file=TRACE out=FILE threads=0|1 compiles a trace: with threads=1 for the threads of
// the trace, otherwise for one thread.

const dumpName = "dump"

// dumpAnswer is the output of dump.
type dumpAnswer struct {
	Out     string `json:"out"`
	Threads int    `json:"threads"` // of the program
	Events  int    `json:"events"`
	Size    int64  `json:"size"` // of the file
	Error   string `json:"error"`
}

func dump(settings []string) (dumpAnswer, error) {
	v := map[string]string{"file": "", "out": "", "threads": "0"}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		if _, known := v[key]; !known {
			return dumpAnswer{}, fmt.Errorf("%s: the keys of dump are file, out and threads", s)
		}
		v[key] = value
	}
	if v["file"] == "" || v["out"] == "" || v["threads"] != "0" && v["threads"] != "1" {
		return dumpAnswer{}, errors.New("usage: gobench dump file=TRACE out=FILE [threads=0|1]")
	}
	a := dumpAnswer{Out: v["out"], Threads: 1}
	program, err := compile(v["file"], v["threads"] == "1", &a)
	if err != nil {
		return a, err
	}
	out, err := os.Create(a.Out)
	if err != nil {
		return a, err
	}
	a.Size, err = program.WriteTo(out)
	if err = errors.Join(err, out.Close()); err != nil {
		return a, errors.Join(err, os.Remove(a.Out)) // half a program is useless
	}
	return a, nil
}

// compile compiles the trace, and sets Threads and Events of a.
func compile(path string, threads bool, a *dumpAnswer) (io.WriterTo, error) {
	src, err := trace.Open(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if threads {
		p, err := replay.CompileThreads(path, src)
		if err != nil {
			return nil, err
		}
		a.Threads, a.Events = p.Threads, p.Events
		return p, nil
	}
	p, err := replay.Compile(path, src)
	if err != nil {
		return nil, err
	}
	a.Events = p.Events
	return p, nil
}
