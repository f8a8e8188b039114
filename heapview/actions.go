package heapview

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/engine"
)

// act does what a button of the page asks for. The request has been checked.
func (v *View) act(w http.ResponseWriter, action string) {
	switch action {
	case "trim":
		h, _ := bridge.GlobalHeap().(*engine.Heap)
		if h == nil {
			http.Error(w, "the global allocator has no heap of galloc, so nothing can be released", http.StatusConflict)
			return
		}
		n := h.Trim()
		reply(w, fmt.Sprintf("Released %.2f MB to the system.", float64(n)/1e6))
	case "clear":
		v.mu.Lock()
		v.history.clear()
		v.broadcast(v.history.message())
		v.mu.Unlock()
		reply(w, "Cleared the history.")
	case "heap":
		p := v.profiler()
		if p == nil {
			http.Error(w, noProfiler, http.StatusConflict)
			return
		}
		attach(w, "heap.pb.gz")
		_, _ = p.Profile().WriteTo(w)
	case "memory":
		s, err := v.readMemory()
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		attach(w, "resident.pb.gz")
		_, _ = s.WriteProfile(w)
	default:
		http.Error(w, "the actions are trim, clear, heap and memory", http.StatusNotFound)
	}
}

// attach sets the headers of a file that the browser saves.
func attach(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// reply writes what an action has done.
func reply(w http.ResponseWriter, text string) {
	writeJSON(w, map[string]string{"message": text})
}

func writeJSON(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(data)
}
