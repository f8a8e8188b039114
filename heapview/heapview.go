// Package heapview is a page that shows the memory of a program as it runs: over time, by size
// class, by part of the process, and by the stacks that allocated it.
//
//	view := heapview.New(heapview.Options{})
//	defer view.Close()
//	mux.Handle("/debug/galloc/view", view)
//
// The page is one document without external requests. It needs a browser with JavaScript. Screen
// readers get tables, and a sentence with the current figures twice a minute.
//
// # Safety
//
// The page shows names of functions and files, so it is for those who may see them, as
// net/http/pprof is. By default a [View] answers only requests from this machine that also name
// this machine in their Host header, so that a web page elsewhere cannot read it through the
// browser by changing its DNS name. Requests that a proxy has forwarded are refused too.
// Options.Remote removes these checks: then the program must check who asks.
//
// A View changes nothing unless Options.Actions is set. Then buttons release memory, download
// profiles and clear the history, by POST requests that need a secret of the page and, from
// browsers, must come from the page's own origin.
//
// # Cost
//
// Nothing happens while nobody looks, unless Options.History is set. Otherwise one goroutine reads
// the figures once a second, as [metrics.ReadSnapshot] does, and while somebody looks also
// [procmem.Read] every 10 seconds, or less often if that takes longer than 200 ms. The history of
// 24 hours takes at most 1 MB: 10 minutes by the second, 2 hours by 10 seconds, and the rest by 2
// minutes. A point of the coarser parts has the maximum of each figure.
package heapview

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/metrics"
	"github.com/galloc-go/galloc/procmem"
)

// Options are the options of a [View].
type Options struct {
	// Profiler is where the stacks come from. If it is nil, the View takes the Profiler in the
	// global allocator, if there is one.
	Profiler *heapprof.Profiler

	// History keeps the history while nobody looks, from New to Close.
	History bool

	// Actions allows the page to release unused memory, to download profiles, and to clear the
	// history.
	Actions bool

	// Remote answers requests from other machines, and for other hosts. The program must check who
	// asks: the View does not.
	Remote bool
}

// A View is an [http.Handler] that serves the page, and the data for it, at whatever path it has.
// It is safe for concurrent use.
type View struct {
	options Options
	token   string // the secret of the page, for actions
	page    *page

	read       func() reading // the sources of the figures: others in tests
	readMemory func() (*procmem.Snapshot, error)

	mu      sync.Mutex
	wg      sync.WaitGroup // the goroutines, and the streams
	closed  bool
	viewers map[*viewer]struct{}
	stop    chan struct{} // ends the goroutine that samples; nil if there is none
	history history
	last    []byte // the latest message of a sample; nil while there are none

	memory     []byte    // the latest message about the process, or nil
	memoryBusy bool      // a goroutine makes the next one
	memoryNext time.Time // when the next one is due
}

// New returns a View. If Options.History is set, it starts a goroutine that runs until Close. The
// View reads the figures of the global allocator, which is a use of it: after the first, none can
// be registered.
func New(o Options) *View {
	return start(o, readFigures, procmem.Read)
}

// start returns a View with the given sources of figures.
func start(o Options, read func() reading, readMemory func() (*procmem.Snapshot, error)) *View {
	v := &View{options: o, token: rand.Text(), read: read, readMemory: readMemory, viewers: map[*viewer]struct{}{}}
	v.page = newPage(o.Actions, v.token)
	v.history.clear()
	if o.History {
		v.mu.Lock()
		v.startSampling()
		v.mu.Unlock()
	}
	return v
}

// Close ends the streams to all viewers and all goroutines of v, and waits for them. Later requests
// for data get the status 503. A server's Shutdown waits for streams, so call Close before it, or
// pass it to RegisterOnShutdown. Close always returns nil, and may be called again.
func (v *View) Close() error {
	v.mu.Lock()
	if !v.closed {
		v.closed = true
		v.stopSampling()
		for w := range v.viewers {
			v.drop(w)
		}
	}
	v.mu.Unlock()
	v.wg.Wait()
	return nil
}

// ServeHTTP serves the page, or what the parameter part of the request names.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if problem := v.refusal(r); problem != nil {
		if problem.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD, POST")
		}
		http.Error(w, problem.text, problem.status)
		return
	}
	part := r.URL.Query().Get("part")
	switch {
	case r.Method == http.MethodPost:
		v.act(w, r.URL.Query().Get("action"))
	case part == "":
		v.page.serve(w)
	case part == "events":
		v.stream(w, r)
	case part == "sites":
		v.serveSites(w)
	default:
		http.Error(w, "the parts are events and sites; without part, this is the page", http.StatusNotFound)
	}
}

// profiler returns where stacks come from, or nil.
func (v *View) profiler() *heapprof.Profiler {
	p := v.options.Profiler
	if p == nil {
		bridge.AnyGlobalPart(func(a any) (found bool) {
			p, found = a.(*heapprof.Profiler)
			return found
		})
	}
	return p
}

// startSampling starts the goroutine that samples, unless there is one. v.mu is locked.
func (v *View) startSampling() {
	if v.stop != nil {
		return
	}
	stop := make(chan struct{})
	v.stop = stop
	v.wg.Go(func() { v.sampleUntil(stop) })
}

// stopSampling ends the goroutine that samples, if there is one. v.mu is locked.
func (v *View) stopSampling() {
	if v.stop != nil {
		close(v.stop)
		v.stop, v.last = nil, nil
	}
}

// sampleUntil samples now and then once a second.
func (v *View) sampleUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		r := v.read()
		v.mu.Lock()
		select {
		case <-stop:
			v.mu.Unlock()
			return
		default:
		}
		v.add(&r)
		v.mu.Unlock()
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

// add enters a sample and sends it to the viewers. v.mu is locked.
func (v *View) add(r *reading) {
	if v.history.isAfter(r.point()) { // somebody has set the clock back
		v.history.clear()
		v.broadcast(v.history.message())
	}
	closed := v.history.add(r.point())
	changed := v.history.note(r.snapshot.Time, r.snapshot.Heap)
	v.last = message("sample", sampleMessage{
		Point: r.point(), Closed: closed, Snapshot: &r.snapshot, Events: changed,
		GoLimit: r.goLimit, SystemLimit: r.systemLimit,
	})
	v.broadcast(v.last)
	if now := time.Now(); len(v.viewers) != 0 && !v.memoryBusy && !now.Before(v.memoryNext) {
		v.memoryBusy = true
		v.wg.Go(v.addMemory)
	}
}

// The whole process is read at most once in memoryEvery, and in at most 1/memoryShare of the time.
const (
	memoryEvery = 10 * time.Second
	memoryShare = 50
	memorySites = 20
)

// addMemory reads what the process consists of and sends it to the viewers.
func (v *View) addMemory() {
	began := time.Now()
	s, err := v.readMemory()
	took := time.Since(began)
	var m memoryMessage
	if err != nil {
		m.Error = err.Error()
	} else {
		s.Sites = s.Sites[:min(len(s.Sites), memorySites)]
		m.Time, m.Resident, m.Sites = s.Time.UnixMilli(), s.Resident, s.Sites
		for _, p := range s.Parts() {
			m.Parts = append(m.Parts, memoryPart{p.Name, p.Bytes})
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.memory = message("memory", &m)
	v.memoryBusy, v.memoryNext = false, began.Add(max(memoryEvery, memoryShare*took))
	v.broadcast(v.memory)
}

// sampleMessage is a message of each sample.
type sampleMessage struct {
	Point       point             `json:"point"`
	Closed      []closed          `json:"closed,omitempty"` // points that are new in coarser levels
	Snapshot    *metrics.Snapshot `json:"snapshot"`
	GoLimit     uint64            `json:"goLimit"`     // GOMEMLIMIT, or 0
	SystemLimit uint64            `json:"systemLimit"` // of the control groups or the machine, or 0
	Events      []event           `json:"events,omitempty"`
}

// memoryMessage is a message about the whole process. If Error is not empty, nothing else is set.
type memoryMessage struct {
	Error    string         `json:"error,omitempty"`
	Time     int64          `json:"time"`
	Resident uint64         `json:"resident"`
	Parts    []memoryPart   `json:"parts"`
	Sites    []procmem.Site `json:"sites,omitempty"`
}

type memoryPart struct {
	Name  string `json:"name"`
	Bytes uint64 `json:"bytes"`
}
