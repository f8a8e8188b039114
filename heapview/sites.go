package heapview

import (
	"net/http"
	"path"
	"runtime"
	"strconv"
	"time"
)

const noProfiler = "no heapprof.Profiler is in the global allocator, nor in Options.Profiler: " +
	"register heapprof.New(heap.Default(), heapprof.Options{}) as the global allocator"

// maxSites is the number of stacks that the page gets. The rest is one figure.
const maxSites = 400

// sites is a profile for the page.
type sites struct {
	Time    int64    `json:"time"`
	Rate    int      `json:"rate"`    // mean number of bytes from one sample to the next
	Frames  []string `json:"frames"`  // "function file:line", each once
	Sites   []site   `json:"sites"`   // most bytes in use first
	Omitted int64    `json:"omitted"` // bytes in use of other stacks
}

type site struct {
	Stack   []int `json:"stack"` // indices of Frames, the outermost call first
	Bytes   int64 `json:"bytes"` // in use
	Objects int64 `json:"objects"`
	Place   int   `json:"place"` // the index of the call in the program
}

// serveSites writes the stacks with blocks in use.
func (v *View) serveSites(w http.ResponseWriter) {
	p := v.profiler()
	if p == nil {
		http.Error(w, noProfiler, http.StatusNotFound)
		return
	}
	profile := p.Profile()
	s := sites{Time: time.Now().UnixMilli(), Rate: profile.Rate, Frames: []string{}, Sites: []site{}}
	index := map[string]int{}
	intern := func(f runtime.Frame) int {
		name := path.Base(f.Function) + " " + path.Base(f.File) + ":" + strconv.Itoa(f.Line)
		if f.Function == "" {
			name = "unknown"
		}
		i, ok := index[name]
		if !ok {
			i = len(s.Frames)
			index[name] = i
			s.Frames = append(s.Frames, name)
		}
		return i
	}
	for i := range profile.Sites {
		p := &profile.Sites[i]
		if p.InUseBytes <= 0 {
			continue
		}
		if len(s.Sites) == maxSites {
			s.Omitted += p.InUseBytes
			continue
		}
		// The calls inside galloc are the same everywhere: the stack ends at the program's call.
		place := p.Place()
		out := site{Bytes: p.InUseBytes, Objects: p.InUseObjects, Place: intern(place)}
		inside := true
		frames := runtime.CallersFrames(p.Stack)
		for more := len(p.Stack) > 0; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if inside = inside && (f.Function != place.Function || f.Line != place.Line); !inside {
				out.Stack = append(out.Stack, intern(f))
			}
		}
		for a, b := 0, len(out.Stack)-1; a < b; a, b = a+1, b-1 {
			out.Stack[a], out.Stack[b] = out.Stack[b], out.Stack[a]
		}
		if len(out.Stack) == 0 {
			out.Stack = []int{out.Place}
		}
		s.Sites = append(s.Sites, out)
	}
	writeJSON(w, &s)
}
