package heapview

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	maxViewers   = 64
	maxWaiting   = 8                // messages that wait for a viewer, after which it is dropped
	writeTimeout = 10 * time.Second // for one message
)

// A viewer is a page that gets the figures. It is in View.viewers until its stream ends.
type viewer struct {
	messages chan []byte   // shared with other viewers, so nobody writes to them
	done     chan struct{} // closed when the viewer has been dropped
	dropped  bool
	control  *http.ResponseController
}

// message returns a server-sent event with data in JSON, which has no line breaks.
func message(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic("galloc/heapview: " + err.Error()) // no type here can fail
	}
	return append(append([]byte("event: "+name+"\ndata: "), text...), "\n\n"...)
}

// stream sends the history, and then each sample, until the client goes, is too slow, or v is
// closed. A client that was dropped connects again and gets the history again.
func (v *View) stream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	me := &viewer{
		messages: make(chan []byte, maxWaiting),
		done:     make(chan struct{}),
		control:  http.NewResponseController(w),
	}
	first, problem := v.join(me)
	if problem != "" {
		w.Header().Set("Retry-After", "10")
		http.Error(w, problem, http.StatusServiceUnavailable)
		return
	}
	defer v.leave(me)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	for _, m := range first {
		if !me.send(w, m) {
			return
		}
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-me.done:
			return
		case m := <-me.messages:
			if r.Context().Err() != nil || !me.send(w, m) {
				return
			}
		}
	}
}

// send writes a message, and reports whether the stream can go on. A server's WriteTimeout would
// end the stream, so each message has its own time.
func (me *viewer) send(w http.ResponseWriter, m []byte) bool {
	_ = me.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not all writers have one
	select {
	case <-me.done:
		return false // the deadline above may have replaced the one of drop
	default:
	}
	if _, err := w.Write(m); err != nil {
		return false
	}
	return me.control.Flush() == nil
}

// join adds a viewer and returns its first messages, or why it cannot.
func (v *View) join(me *viewer) (first [][]byte, problem string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return nil, "galloc/heapview: the View is closed"
	case len(v.viewers) == maxViewers:
		return nil, "galloc/heapview: 64 pages are open: close one"
	}
	v.viewers[me] = struct{}{}
	v.wg.Add(1)
	v.startSampling()
	first = append(first, []byte("retry: 3000\n\n"), v.history.message())
	if v.last != nil {
		first = append(first, v.last) // the history has its point already
	}
	if v.memory != nil {
		first = append(first, v.memory)
	}
	return first, ""
}

// leave removes a viewer whose stream has ended. After the last one, sampling ends.
func (v *View) leave(me *viewer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.viewers, me)
	if len(v.viewers) == 0 && !v.options.History {
		v.stopSampling()
	}
	v.wg.Done()
}

// broadcast sends a message to all viewers, and drops a viewer that is too slow. v.mu is locked.
func (v *View) broadcast(m []byte) {
	for w := range v.viewers {
		select {
		case w.messages <- m:
		default:
			v.drop(w)
		}
	}
}

// drop ends the stream of a viewer, also one that waits for the network. v.mu is locked, so the
// stream has not ended yet.
func (v *View) drop(w *viewer) {
	if !w.dropped {
		w.dropped = true
		close(w.done)
		_ = w.control.SetWriteDeadline(time.Unix(1, 0))
	}
}
