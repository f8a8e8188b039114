// Package handler serves what the resident memory of the program consists of by HTTP, so that
//
//	galloc ps http://localhost:8080/debug/galloc/memory
//
// shows it. It is a separate package, so that a program that only prints snapshots does not contain
// a server.
package handler

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/galloc-go/galloc/procmem"
)

// New returns a handler of the resident memory of this process:
//
//	mux.Handle("/debug/galloc/memory", handler.New())
//
// The response is a [procmem.Snapshot] in JSON. The parameter format of a request chooses another
// form:
//
//	format=text        the table
//	format=pprof       a profile for go tool pprof
//
// The status is 501 on systems other than Linux. Requests are answered one after the other, since
// each makes the kernel look at all pages. A snapshot shows names of functions and files: serve it
// only to those who may see them, as with net/http/pprof.
func New() http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		format := r.FormValue("format")
		switch format {
		case "", "json", "text", "pprof":
		default:
			http.Error(w, fmt.Sprintf("format=%q: write json, text or pprof", format), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if r.Context().Err() != nil {
			return // the client has gone
		}
		s, err := procmem.Read()
		switch {
		case errors.Is(err, procmem.ErrUnsupported):
			http.Error(w, err.Error(), http.StatusNotImplemented)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case format == "text":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprint(w, s)
		case format == "pprof":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Disposition", `attachment; filename="resident.pb.gz"`)
			_, _ = s.WriteProfile(w)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = s.WriteTo(w)
		}
	})
}
