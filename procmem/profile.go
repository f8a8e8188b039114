package procmem

import (
	"io"

	"github.com/galloc-go/galloc/internal/pprof"
)

// WriteProfile writes s in the format of go tool pprof, as a profile whose sum is Resident. Each
// part is a frame below the frame "resident", and galloc live has the stacks of Sites below it,
// unless s comes from [Parse]: then their places.
func (s *Snapshot) WriteProfile(w io.Writer) (int64, error) {
	e := pprof.Profile{Types: [][2]string{{"resident", "bytes"}}, Default: "resident", Time: s.Time}
	add := func(n uint64, stack []uintptr, frames ...string) {
		if n != 0 {
			e.Samples = append(e.Samples, pprof.Sample{
				Stack: stack, Frames: append(frames, "resident"), Values: []int64{int64(n)},
			})
		}
	}
	for _, p := range s.Parts() {
		left := p.Bytes
		if p.Name == "galloc live" {
			for _, site := range s.Sites {
				n := take(&left, site.Bytes)
				if site.stack != nil {
					add(n, site.stack, p.Name)
				} else {
					add(n, nil, site.Place, p.Name)
				}
			}
		}
		add(left, nil, p.Name)
	}
	return e.WriteTo(w)
}

// take takes at most n from *from, and returns what it took.
func take(from *uint64, n uint64) uint64 {
	n = min(n, *from)
	*from -= n
	return n
}
