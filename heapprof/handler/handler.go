// Package handler serves the profiles of package heapprof by HTTP, so that
//
//	go tool pprof http://localhost:8080/debug/galloc/heap
//
// shows them. It is a separate package, so that a program that only writes profiles to files does
// not contain a server.
package handler

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/galloc-go/galloc/heapprof"
)

// New returns a handler of the profiles of p:
//
//	mux.Handle("/debug/galloc/heap", handler.New(p))
//
// The response is a file for go tool pprof. The parameters of a request choose another profile:
//
//	seconds=30         the growth in the next 30 seconds
//	view=peak          the blocks in use when most bytes were
//	view=leaks         the blocks allocated since the program began, or since the number in
//	                   mark=N, or in the next seconds=30, and still in use
//	view=temporary     the blocks freed before n=16 others were allocated
//	debug=1            a table instead of the file
//
// The header Galloc-Mark of a response is the number for mark. A profile shows the names of
// functions and files: serve it only to those who may see them, as with net/http/pprof.
func New(p *heapprof.Profiler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		q, err := parse(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mark := p.Mark()
		profile, ok := q.profile(r, p, mark)
		if !ok {
			return // the client has gone
		}
		w.Header().Set("Galloc-Mark", strconv.FormatUint(mark, 10))
		if q.debug {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprint(w, profile)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="heap.pb.gz"`)
		_, _ = profile.WriteTo(w)
	})
}

// A query is the parameters of a request.
type query struct {
	view    string
	seconds time.Duration
	mark, n uint64
	debug   bool
}

// maxSeconds is the longest time that a request may last.
const maxSeconds = 24 * 60 * 60

func parse(r *http.Request) (q query, err error) {
	number := func(name string, def, limit uint64) uint64 {
		value := r.FormValue(name)
		if value == "" || err != nil {
			return def
		}
		n, bad := strconv.ParseUint(value, 10, 64)
		if bad != nil || n > limit {
			err = fmt.Errorf("%s=%q: write a number from 0 to %d", name, value, limit)
		}
		return n
	}
	q.seconds = time.Duration(number("seconds", 0, maxSeconds)) * time.Second
	q.mark = number("mark", 0, 1<<64-1)
	q.n = number("n", 1, 1<<64-1)
	q.debug = number("debug", 0, 1<<31) != 0
	q.view = r.FormValue("view")
	switch q.view {
	case "", "peak", "leaks", "temporary":
	default:
		err = fmt.Errorf("view=%q: write peak, leaks or temporary", q.view)
	}
	if err == nil && q.seconds != 0 && (q.view == "peak" || q.view == "temporary") {
		err = fmt.Errorf("view=%s has no seconds", q.view)
	}
	return q, err
}

// profile returns the profile of the query, or false if the client has gone.
func (q *query) profile(r *http.Request, p *heapprof.Profiler, mark uint64) (*heapprof.Profile, bool) {
	wait := func() bool {
		select {
		case <-time.After(q.seconds):
			return true
		case <-r.Context().Done():
			return false
		}
	}
	switch {
	case q.view == "peak":
		return p.Peak(), true
	case q.view == "temporary":
		return p.Temporary(q.n), true
	case q.view == "leaks" && q.seconds != 0:
		if !wait() {
			return nil, false
		}
		return p.Leaks(mark), true
	case q.view == "leaks":
		return p.Leaks(q.mark), true
	case q.seconds != 0:
		before := p.Profile()
		if !wait() {
			return nil, false
		}
		return p.Profile().Sub(before), true
	}
	return p.Profile(), true
}
