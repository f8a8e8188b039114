package heapview

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/metrics"
	"github.com/galloc-go/galloc/procmem"
)

// fake returns a View whose figures need no process, and the counts of both kinds of reads.
func fake(o Options) (v *View, reads, memoryReads *atomic.Int64) {
	reads, memoryReads = new(atomic.Int64), new(atomic.Int64)
	return start(o, func() reading {
		n := reads.Add(1)
		return reading{snapshot: metrics.Snapshot{Time: time.Now(), Live: uint64(n), Heap: new(metrics.Heap)}}
	}, func() (*procmem.Snapshot, error) {
		memoryReads.Add(1)
		return nil, procmem.ErrUnsupported
	}), reads, memoryReads
}

// local returns a request from this machine.
func local(method, query string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost:8080/view"+query, nil)
	r.RemoteAddr = "127.0.0.1:1234"
	return r
}

// A client is a response writer that a test can read, block and fail.
type client struct {
	mu       sync.Mutex
	header   http.Header
	status   int
	text     strings.Builder
	blocked  chan struct{} // Write waits for it, unless it is nil
	deadline chan struct{} // closed by a deadline in the past, which ends Write
}

func newClient() *client { return &client{header: http.Header{}, deadline: make(chan struct{})} }

func (c *client) Header() http.Header { return c.header }
func (c *client) WriteHeader(s int)   { c.status = s }
func (c *client) Flush()              {}

func (c *client) SetWriteDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		close(c.deadline)
	}
	return nil
}

func (c *client) Write(b []byte) (int, error) {
	c.mu.Lock()
	blocked := c.blocked
	c.mu.Unlock()
	if blocked != nil {
		select {
		case <-blocked:
		case <-c.deadline:
			return 0, os.ErrDeadlineExceeded
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

// got returns the names of the events so far, with a count.
func (c *client) got() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := map[string]int{}
	for line := range strings.Lines(c.text.String()) {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			n[strings.TrimSpace(name)]++
		}
	}
	return n
}

func TestSamplingLastsWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, reads, memoryReads := fake(Options{})
		time.Sleep(time.Hour)
		if reads.Load() != 0 {
			t.Errorf("%d reads, and nobody looks", reads.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := newClient()
		go v.ServeHTTP(c, local("GET", "?part=events").WithContext(ctx))
		time.Sleep(25*time.Second + time.Millisecond)
		synctest.Wait()
		if got := c.got(); got["history"] != 1 || got["sample"] != 26 || got["memory"] != 3 || memoryReads.Load() != 3 {
			t.Errorf("the viewer got %v", got)
		}
		cancel()
		synctest.Wait()
		before := reads.Load()
		time.Sleep(time.Hour)
		if reads.Load() > before+1 {
			t.Errorf("%d more reads after the last viewer has gone", reads.Load()-before)
		}
		v.Close()
	})
}

func TestHistoryIsKeptWithoutViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, reads, memoryReads := fake(Options{History: true})
		hours := 25
		if testing.Short() {
			hours = 3
		}
		time.Sleep(time.Duration(hours)*time.Hour + time.Millisecond)
		synctest.Wait()
		v.Close()
		if reads.Load() != int64(hours)*3600+1 || memoryReads.Load() != 0 {
			t.Errorf("%d and %d reads", reads.Load(), memoryReads.Load())
		}
		for i, l := range v.history.levels {
			if n := len(l.points); n != l.max && (n > l.max || int64(n) < int64(hours)*3_600_000/l.step-1) {
				t.Errorf("level %d has %d points", i, len(l.points))
			}
		}
		if n := len(v.history.message()); n > 1<<20 {
			t.Errorf("the history has %d bytes", n)
		}
	})
}

// Times of a history only grow: the page relies on it.
func TestAClockThatIsSetBackClearsTheHistory(t *testing.T) {
	v, _, _ := fake(Options{})
	c := &viewer{messages: make(chan []byte, maxWaiting)}
	v.viewers[c] = struct{}{}
	now := time.Unix(1_700_000_000, 0)
	v.memoryBusy = true // there is nothing to read
	for _, seconds := range []time.Duration{0, 1, 2, -3600, -3599} {
		v.add(&reading{snapshot: metrics.Snapshot{Time: now.Add(seconds * time.Second)}})
	}
	var names []string
	for len(c.messages) != 0 {
		name, _, _ := strings.Cut(string(<-c.messages), "\n")
		names = append(names, strings.TrimPrefix(name, "event: "))
	}
	if got := strings.Join(names, " "); got != "sample sample sample history sample sample" {
		t.Errorf("the viewer got %s", got)
	}
	if n := len(v.history.levels[0].points); n != 2 {
		t.Errorf("%d points are kept", n)
	}
}

func TestSlowViewersAreDroppedAndOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _, _ := fake(Options{})
		slow, fast := newClient(), newClient()
		slow.blocked = make(chan struct{})
		ended := make(chan struct{})
		go func() {
			v.ServeHTTP(slow, local("GET", "?part=events"))
			close(ended)
		}()
		go v.ServeHTTP(fast, local("GET", "?part=events"))
		<-ended // without the drop, the test deadlocks
		v.mu.Lock()
		if len(v.viewers) != 1 {
			t.Errorf("%d viewers are left", len(v.viewers))
		}
		v.mu.Unlock()
		time.Sleep(time.Minute)
		if got := fast.got(); got["sample"] < 60 {
			t.Errorf("the fast viewer got %v", got)
		}
		v.Close()
	})
}

func TestManyViewersAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		v, reads, _ := fake(Options{})
		clients := make([]*client, maxViewers)
		for i := range clients {
			clients[i] = newClient()
			go v.ServeHTTP(clients[i], local("GET", "?part=events"))
		}
		synctest.Wait()
		refused := newClient()
		v.ServeHTTP(refused, local("GET", "?part=events"))
		if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") == "" {
			t.Errorf("one viewer too many: status %d", refused.status)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		for i, c := range clients {
			if got := c.got(); got["sample"] != 11 || got["history"] != 1 {
				t.Errorf("viewer %d got %v", i, got)
			}
		}
		if reads.Load() != 11 {
			t.Errorf("%d reads for all viewers", reads.Load())
		}
		clients[0].mu.Lock()
		clients[0].blocked = make(chan struct{}) // its next write ends by the deadline
		clients[0].mu.Unlock()
		time.Sleep(2 * time.Second)
		v.Close()
		v.Close()
		c := newClient()
		v.ServeHTTP(c, local("GET", "?part=events"))
		if c.status != http.StatusServiceUnavailable {
			t.Errorf("the status after Close is %d", c.status)
		}
	})
}

// The stream of a real server, read as a browser reads it.
func TestFramesOfTheStream(t *testing.T) {
	v := New(Options{})
	s := httptest.NewUnstartedServer(v)
	s.Config.WriteTimeout = time.Minute
	s.Start()
	defer s.Close()
	defer v.Close()
	r, err := http.Get(s.URL + "/?part=events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := r.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("the type is %q", got)
	}
	lines := bufio.NewReader(r.Body)
	next := func() (name string, data string) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch {
			case field == "event":
				name = value
			case field == "data":
				data += value
			case field == "" && data != "":
				return name, data
			case field != "" && field != "retry":
				t.Fatalf("the line %q", line)
			}
		}
	}
	var history struct {
		Columns []string
		Levels  []struct {
			Step, Max int64
			Points    [][]uint64
		}
	}
	name, data := next()
	if err := json.Unmarshal([]byte(data), &history); err != nil || name != "history" {
		t.Fatal(name, err)
	}
	if strings.Contains(data, "null") || len(history.Columns) != numColumns || len(history.Levels) != 3 || history.Levels[0].Max != 600 {
		t.Errorf("the history is %+v", history)
	}
	for seen := map[string]bool{}; !seen["sample"] || !seen["memory"]; {
		name, data = next()
		var sample struct {
			Point    []uint64
			Snapshot metrics.Snapshot
		}
		if err := json.Unmarshal([]byte(data), &sample); err != nil {
			t.Fatal(err)
		}
		if name == "sample" && (len(sample.Point) != 1+numColumns || sample.Point[1+goHeap] == 0 || sample.Snapshot.Allocator == "") {
			t.Errorf("the sample is %s", data)
		}
		seen[name] = true
	}
}

func serve(v *View, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w
}

func TestThePageIsOneDocumentWithAPolicy(t *testing.T) {
	v, _, _ := fake(Options{})
	w := serve(v, local("GET", ""))
	body := w.Body.String()
	if w.Code != 200 || strings.Contains(body, "{{") || strings.Contains(body, v.token) {
		t.Errorf("status %d, %d bytes", w.Code, len(body))
	}
	for _, tag := range []string{"script", "style"} {
		_, text, _ := strings.Cut(body, "<"+tag+">")
		text, _, found := strings.Cut(text, "</"+tag+">")
		if !found || !strings.Contains(w.Header().Get("Content-Security-Policy"), tag+"-src "+hashOf(text)+";") {
			t.Errorf("the policy does not allow the %s", tag)
		}
	}
	without := strings.ReplaceAll(body, "http://www.w3.org/2000/svg", "")
	for _, bad := range []string{"http:", "https:", "//cdn", "innerHTML", "style=", "onclick="} {
		if strings.Contains(without, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, h := range []string{"X-Content-Type-Options", "Cache-Control", "Referrer-Policy", "X-Frame-Options"} {
		if w.Header().Get(h) == "" {
			t.Errorf("there is no %s", h)
		}
	}
	if w := serve(v, local("GET", "?part=x")); w.Code != http.StatusNotFound {
		t.Errorf("the status of an unknown part is %d", w.Code)
	}
	if w := serve(v, local("HEAD", "?part=events")); w.Code != 200 || len(v.viewers) != 0 {
		t.Errorf("HEAD of the stream: %d", w.Code)
	}
	if w := serve(v, local("PUT", "")); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("the status of PUT is %d", w.Code)
	}
}

func TestOnlyThisMachineIsAnswered(t *testing.T) {
	v, _, _ := fake(Options{})
	remote, _, _ := fake(Options{Remote: true})
	for _, c := range []struct {
		peer, host, header string
		ok                 bool
	}{
		{"127.0.0.1:1", "localhost:8080", "", true},
		{"127.9.9.9:1", "LOCALHOST", "", true},
		{"[::1]:1", "[::1]:8080", "", true},
		{"[::ffff:127.0.0.1]:1", "127.0.0.1:80", "", true},
		{"127.0.0.1:1", "app.localhost:80", "", true},
		{"127.0.0.1:1", "localhost.", "", true},
		{"192.0.2.1:1", "localhost", "", false},
		{"[fe80::1%eth0]:1", "localhost", "", false},
		{"", "localhost", "", false},
		{"@", "localhost", "", false},
		{"127.0.0.1:1", "evil.example:8080", "", false}, // DNS rebinding
		{"127.0.0.1:1", "localhost.evil.example", "", false},
		{"127.0.0.1:1", "127.0.0.1.evil.example", "", false},
		{"127.0.0.1:1", "0.0.0.0:8080", "", false},
		{"127.0.0.1:1", "", "", false},
		{"127.0.0.1:1", "localhost", "X-Forwarded-For", false},
		{"127.0.0.1:1", "localhost", "Forwarded", false},
	} {
		r := local("GET", "")
		r.RemoteAddr, r.Host = c.peer, c.host
		if c.header != "" {
			r.Header.Set(c.header, "192.0.2.1")
		}
		w := serve(v, r)
		if (w.Code == 200) != c.ok {
			t.Errorf("%+v: the status is %d", c, w.Code)
		}
		if !c.ok && (w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Options.Remote")) {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
		if w := serve(remote, r); w.Code != 200 {
			t.Errorf("%+v: the status with Options.Remote is %d", c, w.Code)
		}
	}
	r := local("GET", "")
	r.RemoteAddr = "@"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Net: "unix"})))
	if w := serve(v, r); w.Code != 200 {
		t.Errorf("the status on a Unix socket is %d", w.Code)
	}
}

func TestOtherSitesMayOnlyLinkToThePage(t *testing.T) {
	v, _, _ := fake(Options{})
	for _, c := range []struct {
		query, site, mode, dest, origin string
		ok                              bool
	}{
		{"", "none", "navigate", "document", "", true},
		{"", "cross-site", "navigate", "document", "", true},
		{"", "cross-site", "navigate", "iframe", "", false},
		{"", "cross-site", "no-cors", "script", "", false},
		{"", "same-site", "cors", "empty", "", false},
		{"?part=sites", "cross-site", "navigate", "document", "", false},
		{"?part=events", "cross-site", "cors", "empty", "http://evil.example", false},
		{"?part=events", "", "", "", "http://evil.example", false},
		{"?part=events", "", "", "", "null", false},
	} {
		r := local("GET", c.query)
		for name, value := range map[string]string{
			"Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode, "Sec-Fetch-Dest": c.dest, "Origin": c.origin,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if w := serve(v, r); (w.Code == 200) != c.ok || !c.ok && w.Code != http.StatusForbidden {
			t.Errorf("%+v: the status is %d", c, w.Code)
		}
	}
}

func TestActionsNeedTheOptionTheSecretAndTheOrigin(t *testing.T) {
	v, _, _ := fake(Options{Actions: true})
	reader, _, _ := fake(Options{})
	post := func(v *View, action, token string, headers ...string) *httptest.ResponseRecorder {
		r := local("POST", "?action="+action)
		r.Header.Set(tokenHeader, token)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return serve(v, r)
	}
	if body := serve(v, local("GET", "")).Body.String(); !strings.Contains(body, `data-token="`+v.token+`"`) {
		t.Error("the page does not have the secret")
	}
	for _, w := range []*httptest.ResponseRecorder{
		post(reader, "clear", reader.token),
		post(v, "clear", ""),
		post(v, "clear", reader.token),
		post(v, "clear", v.token, "Sec-Fetch-Site", "cross-site"),
		post(v, "clear", v.token, "Sec-Fetch-Site", "same-site"),
		post(v, "clear", v.token, "Origin", "http://localhost:9090"),
		post(v, "clear", v.token, "Origin", "null"),
	} {
		if w.Code != http.StatusForbidden {
			t.Errorf("the status is %d: %s", w.Code, w.Body)
		}
	}
	if w := serve(v, local("GET", "?action=clear")); strings.Contains(w.Body.String(), "Cleared") {
		t.Error("GET acts")
	}
	v.history.add(point{at: 1})
	if w := post(v, "clear", v.token, "Origin", "http://localhost:8080", "Sec-Fetch-Site", "same-origin"); w.Code != 200 ||
		len(v.history.levels[0].points) != 0 {
		t.Errorf("the status of clear is %d: %s", w.Code, w.Body)
	}
	if w := post(v, "x", v.token); w.Code != http.StatusNotFound {
		t.Errorf("the status of an unknown action is %d", w.Code)
	}
	if w := post(v, "memory", v.token); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "Linux") {
		t.Errorf("the status of memory is %d: %s", w.Code, w.Body)
	}
	if w := post(v, "heap", v.token); w.Code != http.StatusConflict {
		t.Errorf("the status of heap without a profiler is %d", w.Code)
	}
	w := post(v, "trim", v.token)
	_, err := galloc.ReadStats()
	if w.Code != 200 && (err == nil || w.Code != http.StatusConflict) {
		t.Errorf("the status of trim is %d: %s", w.Code, w.Body)
	}
}

func TestStacksAndTheirProfile(t *testing.T) {
	own := galloc.Must(heap.New(heap.Options{}))
	p := heapprof.New(own, heapprof.Options{Rate: 1})
	v, _, _ := fake(Options{Actions: true, Profiler: p})
	b := galloc.Must(galloc.MakeSlice[byte](p, 4096))
	w := serve(v, local("GET", "?part=sites"))
	var s sites
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || len(s.Sites) != 1 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	got := s.Sites[0]
	if first := s.Frames[got.Stack[0]]; !strings.HasPrefix(first, "runtime.goexit ") {
		t.Errorf("the outermost call is %s", first)
	}
	if got.Bytes != 4096 || got.Objects != 1 || s.Rate != 1 || len(got.Stack) < 2 {
		t.Errorf("the stack is %+v", got)
	}
	r := local("POST", "?action=heap")
	r.Header.Set(tokenHeader, v.token)
	if w := serve(v, r); !strings.HasPrefix(w.Body.String(), "\x1f\x8b") || w.Header().Get("Content-Disposition") == "" {
		t.Errorf("the profile is %.20q", w.Body)
	}
	galloc.FreeSlice(p, b)
	if w := serve(v, local("GET", "?part=sites")); !strings.Contains(w.Body.String(), `"sites":[]`) {
		t.Errorf("after the free: %s", w.Body)
	}
	none, _, _ := fake(Options{})
	if w := serve(none, local("GET", "?part=sites")); w.Code != http.StatusNotFound {
		t.Errorf("the status without a profiler is %d", w.Code)
	}
}
