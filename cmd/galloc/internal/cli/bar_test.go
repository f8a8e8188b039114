package cli_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
)

func TestTheBar(t *testing.T) {
	var s clitest.Screen
	b := cli.NewBarOn(&s, 4)
	see := func(want string) {
		t.Helper()
		if s.String() != want {
			t.Errorf("the terminal shows\n%q, want\n%q", &s, want)
		}
		if s.Column != 0 {
			t.Errorf("the cursor is in column %d", s.Column)
		}
	}
	b.Start("system sqlite")
	see("  0% [............] system sqlite")
	b.Progress(0.5)
	see(" 12% [#...........] system sqlite")
	b.Progress(1)
	see(" 25% [###.........] system sqlite")
	b.Finish()
	see("")
	s.Write([]byte("a row\n"))
	b.Start("goheap sqlite")
	see("a row\n 25% [###.........] goheap sqlite")
	b.Start("sink")
	see("a row\n 25% [###.........] sink")
	b.Skip(1)
	b.Progress(1)
	see("a row\n 75% [#########...] sink")
	s.Write([]byte("^C")) // by the terminal
	b.Finish()
	s.Write([]byte("\r"))
	see("a row\n")
	b.Progress(1)
	see("a row\n100% [############] sink")
}

func TestTheBarDoesNotWrap(t *testing.T) {
	var s clitest.Screen
	b := cli.NewBarOn(&s, 1)
	b.Start("system " + strings.Repeat("é", 100))
	if want := "  0% [............] system " + strings.Repeat("é", 12); s.String() != want {
		t.Errorf("the terminal shows\n%s, want\n%s", &s, want)
	}
	b.Finish()
	if s.String() != "" {
		t.Errorf("left on the terminal: %q", &s)
	}
}

// A bar that is on the terminal already is not written again.
func TestTheBarIsQuiet(t *testing.T) {
	var out bytes.Buffer
	b := cli.NewBarOn(&out, 1000)
	b.Start("sink")
	written := out.Len()
	for range 100 {
		b.Progress(0.001)
	}
	if out.Len() != written {
		t.Errorf("written: %q", &out)
	}
	b.Finish()
	written = out.Len()
	b.Show("")
	if out.Len() != written {
		t.Errorf("written: %q", &out)
	}
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
	shown := func(w io.Writer) bool { return cli.OnTerminal(cli.NewBar(w, 1)) }
	if !shown(device) {
		t.Error("no bar on a terminal")
	}
	if shown(file) || shown(&bytes.Buffer{}) {
		t.Error("a bar on something that is no terminal")
	}
	t.Setenv("TERM", "dumb")
	if shown(device) {
		t.Error("a bar on a terminal that cannot show it")
	}
	b := cli.NewBar(&bytes.Buffer{}, 1)
	b.Start("no terminal: all do nothing")
	b.Finish()
}
