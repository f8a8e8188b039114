package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/galloc-go/galloc/internal/replay"
)

// head is the beginning of a program file: see Program.WriteTo in package replay.
type head struct {
	threads uint32
	largest uint64 // the size of the largest block
}

func headOf(path string) (head, error) {
	f, err := os.Open(path)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	var b [40]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return head{}, notAProgram(path, err)
	}
	return head{binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint64(b[32:])}, nil
}

func notAProgram(path string, err error) error {
	return fmt.Errorf("%s: not a program of gobench dump, or damaged: %w", path, err)
}

// player replays a program of one or several threads.
type player struct {
	replay.Summary
	one     *replay.Replay // or
	several *replay.ThreadReplay
}

// load reads a program file and prepares its replay.
func load(path string) (r player, err error) {
	h, err := headOf(path)
	if err != nil {
		return r, err
	}
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	if h.threads == 1 {
		p, err := replay.ReadProgram(f)
		if err != nil {
			return r, notAProgram(path, err)
		}
		r.Summary = p.Summary
		r.one, err = replay.NewReplay(p)
		return r, err
	}
	p, err := replay.ReadThreadProgram(f)
	if err != nil {
		return r, notAProgram(path, err)
	}
	r.Summary = p.Summary
	r.several, err = replay.NewThreadReplay(p)
	return r, err
}
