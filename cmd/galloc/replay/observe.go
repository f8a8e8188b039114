package replay

import (
	"bytes"
	"math/bits"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/galloc-go/galloc/internal/replay"
)

// observed is what one round shows whose calls are timed.
type observed struct {
	// Resident is the bytes that the replay has added to the process after each Step calls; Linux
	// only.
	Resident []int64 `json:"resident,omitempty"`
	Step     int     `json:"step"`
	// Times has the calls that took 0 ns, 1 ns, 2 to 3 ns, 4 to 7 ns, and so on, without the time
	// of reading the clock.
	Times []int `json:"times"`
}

// maxResident is the greatest length of observed.Resident.
const maxResident = 256

// observe replays a trace of the given number of events once.
func observe(rep *replay.Replay, events int) (*observed, error) {
	debug.FreeOSMemory()
	o := &observed{
		Step: max(1, (events+maxResident-1)/maxResident), Times: make([]int, 65), Resident: make([]int64, 0, maxResident),
	}
	memory := openResident()
	defer memory.close()
	base := memory.read()
	start := time.Now()
	now := func() uint64 { return uint64(time.Since(start)) }
	clock := ^uint64(0) // the time of reading it
	for range 1000 {
		before := now()
		clock = min(clock, now()-before)
	}
	calls := 0
	err := rep.RoundObserved(now, func(ns uint64) {
		o.Times[bits.Len64(ns-min(ns, clock))]++
		if calls++; calls%o.Step == 0 && base > 0 {
			o.Resident = append(o.Resident, max(memory.read()-base, 0))
		}
	})
	if err != nil {
		return nil, err
	}
	rep.FreeSurvivors()
	last := 0
	for i, n := range o.Times {
		if n > 0 {
			last = i + 1
		}
	}
	o.Times = o.Times[:last]
	return o, nil
}

// A resident reads the resident memory of the process without allocating any.
type resident struct {
	file *os.File // nil if the system has none
	page int64
	buf  [128]byte
}

func openResident() *resident {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		f = nil
	}
	return &resident{file: f, page: int64(os.Getpagesize())}
}

// read returns the resident bytes, or 0 if they are not known. The second number of the file
// counts the resident pages.
func (r *resident) read() int64 {
	if r.file == nil {
		return 0
	}
	n, _ := r.file.ReadAt(r.buf[:], 0) // the error is io.EOF
	_, rest, _ := bytes.Cut(r.buf[:n], []byte(" "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	pages, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return pages * r.page
}

func (r *resident) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}
