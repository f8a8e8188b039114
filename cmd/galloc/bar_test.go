package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestTheBar(t *testing.T) {
	var s screen
	b := &bar{w: &s, cells: 4}
	see := func(want string) {
		t.Helper()
		if s.String() != want {
			t.Errorf("the terminal shows\n%q, want\n%q", &s, want)
		}
		if s.column != 0 {
			t.Errorf("the cursor is in column %d", s.column)
		}
	}
	b.start("system sqlite")
	see("  0% [............] system sqlite")
	b.progress(0.5)
	see(" 12% [#...........] system sqlite")
	b.progress(1)
	see(" 25% [###.........] system sqlite")
	b.finish()
	see("")
	s.Write([]byte("a row\n"))
	b.start("goheap sqlite")
	see("a row\n 25% [###.........] goheap sqlite")
	b.start("null")
	see("a row\n 25% [###.........] null")
	b.skip(1)
	b.progress(1)
	see("a row\n 75% [#########...] null")
	s.Write([]byte("^C")) // by the terminal
	b.finish()
	s.Write([]byte("\r"))
	see("a row\n")
	b.progress(1)
	see("a row\n100% [############] null")
}

func TestTheBarDoesNotWrap(t *testing.T) {
	var s screen
	b := &bar{w: &s, cells: 1}
	b.start("system " + strings.Repeat("é", 100))
	if want := "  0% [............] system " + strings.Repeat("é", 12); s.String() != want {
		t.Errorf("the terminal shows\n%s, want\n%s", &s, want)
	}
	b.finish()
	if s.String() != "" {
		t.Errorf("left on the terminal: %q", &s)
	}
}

// What is on the terminal already is not written again.
func TestTheBarIsQuiet(t *testing.T) {
	var out bytes.Buffer
	b := &bar{w: &out, cells: 1000}
	b.start("null")
	written := out.Len()
	for range 100 {
		b.progress(0.001)
	}
	if out.Len() != written {
		t.Errorf("written: %q", &out)
	}
	b.finish()
	written = out.Len()
	b.show("")
	if out.Len() != written {
		t.Errorf("written: %q", &out)
	}
}

func TestTheMeasuringProcessTellsItsProgress(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	var out bytes.Buffer
	b := &bar{w: &out, cells: 1}
	if _, err := measureInChild(t.Context(), options{rounds: 1}, traceFile{path: "ok.trace"}, "system", b); err != nil {
		t.Fatal(err)
	}
	wantText(t, "the bar", out.String(), " 50% [...100% [") // the trace is loaded; all is done
}

func TestThereIsABarOnTerminalsOnly(t *testing.T) {
	device, err := os.Open(os.DevNull) // as near to a terminal as there is everywhere
	if err != nil {
		t.Skip(err)
	}
	defer device.Close()
	if info, err := device.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Skip("this platform has no character device")
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Setenv("TERM", "xterm")
	if newBar(device, 1).w == nil {
		t.Error("no bar on a terminal")
	}
	if newBar(file, 1).w != nil || newBar(&bytes.Buffer{}, 1).w != nil {
		t.Error("a bar on what is no terminal")
	}
	t.Setenv("TERM", "dumb")
	if newBar(device, 1).w != nil {
		t.Error("a bar on a terminal that cannot do it")
	}
	b := newBar(&bytes.Buffer{}, 1)
	b.start("no terminal: all do nothing")
	b.finish()
}
