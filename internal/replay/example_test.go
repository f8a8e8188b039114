package replay_test

import (
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/trace"
)

const small = `# malloctrace 1
m 0 1 24
c 0 2 4096
r 0 1 3 48
f 0 2
`

func ExampleCompile() {
	r, err := trace.NewReader(strings.NewReader(small))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := replay.Compile("small", r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d events, %d objects, at most %d bytes at a time, %d bytes at the end\n",
		p.Events, p.Objects, p.PeakLiveBytes, p.EndLiveBytes)
	// Output:
	// 4 events, 3 objects, at most 4144 bytes at a time, 48 bytes at the end
}

func ExampleNewReplay() {
	r, err := trace.NewReader(strings.NewReader(small))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := replay.Compile("small", r)
	if err != nil {
		fmt.Println(err)
		return
	}
	rep, err := replay.NewReplay(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rep.Close()
	if _, err := rep.Round(); err != nil { // through galloc.Alloc; returns the time it took
		fmt.Println(err)
	}
	rep.FreeSurvivors()

	compared, err := rep.Check(galloc.System) // on any allocator, every byte compared
	fmt.Println(compared > 0, err)
	// Output: true <nil>
}
