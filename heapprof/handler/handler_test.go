package handler_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/heapprof/handler"
)

func Example() {
	p := heapprof.New(heap.Default(), heapprof.Options{})
	mux := http.NewServeMux()
	mux.Handle("/debug/galloc/heap", handler.New(p))
	// http.ListenAndServe("localhost:8080", mux)

	response := httptest.NewRecorder()
	mux.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/debug/galloc/heap", nil))
	fmt.Println(response.Code, response.Header().Get("Content-Disposition"))
	// Output: 200 attachment; filename="heap.pb.gz"
}

func ExampleNew() {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	s, _ := galloc.MakeSlice[int64](p, 1000)
	defer galloc.FreeSlice(p, s)

	response := httptest.NewRecorder()
	handler.New(p).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/?view=leaks&debug=1", nil))
	fmt.Println(strings.Contains(response.Body.String(), "handler_test.ExampleNew"))
	// Output: true
}

// get returns the status, the header and the body of a response.
func get(p *heapprof.Profiler, method, query string) (int, http.Header, string) {
	w := httptest.NewRecorder()
	handler.New(p).ServeHTTP(w, httptest.NewRequest(method, "/?"+query, nil))
	return w.Code, w.Result().Header, w.Body.String()
}

func TestViews(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	kept := galloc.Must(galloc.MakeSlice[byte](p, 100))
	defer func() { galloc.FreeSlice(p, kept) }()
	_, header, _ := get(p, "GET", "debug=1")
	mark := header.Get("Galloc-Mark")
	galloc.FreeSlice(p, galloc.Must(galloc.MakeSlice[byte](p, 5000)))
	for query, want := range map[string]int{ // lines of the table
		"debug=1": 2, "view=peak&debug=1": 2, "view=leaks&debug=1": 1, "view=leaks&debug=1&mark=" + mark: 0,
		"view=temporary&debug=1": 1, "view=temporary&n=100&debug=1": 1, "seconds=0&debug=1": 2,
	} {
		code, header, body := get(p, "GET", query)
		if n := strings.Count(body, "\n") - 1; code != http.StatusOK || n != want ||
			header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: status %d, %d lines, not %d:\n%s", query, code, n, want, body)
		}
	}
	for _, query := range []string{"seconds=1", "view=leaks&seconds=1"} {
		if code, _, body := get(p, "GET", query); code != http.StatusOK || !strings.HasPrefix(body, "\x1f\x8b") {
			t.Errorf("%s: status %d, and no gzip file", query, code)
		}
	}
}

func TestBadRequests(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{})
	for query, want := range map[string]string{
		"view=all": "view=\"all\": write peak, leaks or temporary\n", "seconds=-1": "seconds=", "mark=x": "mark=", "n=": "",
		"seconds=99999999999999999999": "seconds=", "view=peak&seconds=1": "view=peak has no seconds\n",
	} {
		code, _, body := get(p, "GET", query)
		if bad := code == http.StatusBadRequest; bad != (want != "") || bad && !strings.HasPrefix(body, want) {
			t.Errorf("%s: status %d: %q", query, code, body)
		}
	}
	if code, header, _ := get(p, "POST", ""); code != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, %v", code, header)
	}
}

// A client that goes ends the wait.
func TestClientGoes(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, query := range []string{"seconds=3600", "view=leaks&seconds=3600"} {
		w := httptest.NewRecorder()
		handler.New(p).ServeHTTP(w, httptest.NewRequest("GET", "/?"+query, nil).WithContext(gone))
		if w.Body.Len() != 0 {
			t.Errorf("%s: a profile was written", query)
		}
	}
}

// The standard tool reads a profile from a server.
func TestPprofByHTTP(t *testing.T) {
	if err := exec.Command("go", "tool", "-n", "pprof").Run(); err != nil {
		t.Skip("there is no go tool pprof here: ", err)
	}
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	s := galloc.Must(galloc.MakeSlice[byte](p, 100_000))
	defer func() { galloc.FreeSlice(p, s) }()
	server := httptest.NewServer(handler.New(p))
	defer server.Close()
	cmd := exec.Command("go", "tool", "pprof", "-top", server.URL+"/debug/galloc/heap")
	cmd.Env = append(cmd.Environ(), "PPROF_TMPDIR="+t.TempDir())
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	top, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || !strings.Contains(string(top), "handler_test.TestPprofByHTTP") {
		t.Errorf("%v\n%s%s", err, top, &errors)
	}
}
