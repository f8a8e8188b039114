package handler_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/procmem"
	"github.com/galloc-go/galloc/procmem/handler"
)

func ExampleNew() {
	mux := http.NewServeMux()
	mux.Handle("/debug/galloc/memory", handler.New())
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/galloc/memory?format=html", nil))
	fmt.Print(w.Body)
	// Output: format="html": write json, text or pprof
}

func get(method, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.New().ServeHTTP(w, httptest.NewRequest(method, "/"+query, nil))
	return w
}

func TestForms(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "android" {
		if w := get(http.MethodGet, ""); w.Code != http.StatusNotImplemented {
			t.Errorf("the status is %d: %s", w.Code, w.Body)
		}
		return
	}
	w := get(http.MethodGet, "")
	if s, err := procmem.Parse(w.Body.Bytes()); err != nil || s.Code == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if w := get(http.MethodGet, "?format=text"); !strings.Contains(w.Body.String(), "\nresident ") {
		t.Errorf("the table is\n%s", w.Body)
	}
	if w := get(http.MethodGet, "?format=pprof"); !strings.HasPrefix(w.Body.String(), "\x1f\x8b") {
		t.Errorf("the profile is %.20q", w.Body)
	}
	for _, h := range []string{"X-Content-Type-Options", "Cache-Control", "Content-Type"} {
		if w.Header().Get(h) == "" {
			t.Errorf("there is no %s", h)
		}
	}
}

func TestRefusals(t *testing.T) {
	if w := get(http.MethodPost, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("the status of POST is %d", w.Code)
	}
	if w := get(http.MethodGet, "?format=x"); w.Code != http.StatusBadRequest {
		t.Errorf("the status is %d", w.Code)
	}
}
