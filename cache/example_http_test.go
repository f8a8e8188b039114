package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/galloc-go/galloc/cache"
)

// pages is a handler that keeps the successful responses of another one to GET requests. It knows
// no headers but Content-Type, and no cookies, so all users must see the same.
type pages struct {
	next  http.Handler
	cache *cache.Text
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
		p.next.ServeHTTP(w, r)
		return
	}
	page, err := p.cache.GetOrLoad(r.Context(), nil, r.Host+r.URL.RequestURI(), func(ctx context.Context, _ string) ([]byte, error) {
		a := &answer{header: http.Header{}, status: http.StatusOK}
		p.next.ServeHTTP(a, r.WithContext(ctx))
		if a.status != http.StatusOK || a.header.Get("Set-Cookie") != "" {
			return nil, a // to all requests that wait for it, but not kept
		}
		return append([]byte(a.header.Get("Content-Type")+"\n"), a.body.Bytes()...), nil
	})
	var a *answer
	switch {
	case errors.As(err, &a):
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.WriteHeader(a.status)
		page = a.body.Bytes()
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	default:
		kind, body, _ := bytes.Cut(page, []byte("\n"))
		w.Header().Set("Content-Type", string(kind))
		page = body
	}
	if _, err := w.Write(page); err != nil {
		log.Print(err)
	}
}

// answer is a response in memory, and the error of a load that must not be kept.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) Error() string               { return http.StatusText(a.status) }

// A cache of the pages of a web server.
func Example_responses() {
	c, err := cache.NewText(cache.Options{MaxBytes: 64 << 20, TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("making", r.URL.Path)
		if r.URL.Path != "/news" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "nothing new")
	})
	h := &pages{next: slow, cache: c}
	for _, path := range []string{"/news", "/news", "/none", "/none"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Body.Len())
	}
	// Output:
	// making /news
	// 200 text/plain 11
	// 200 text/plain 11
	// making /none
	// 404 text/plain; charset=utf-8 19
	// making /none
	// 404 text/plain; charset=utf-8 19
}

// A group is a cache in front of a function, as in groupcache: Get of many goroutines for the same
// key calls the function once.
type group struct {
	getter func(ctx context.Context, key string) ([]byte, error)
	cache  *cache.Text
}

// Get returns the value of key.
func (g *group) Get(ctx context.Context, key string) ([]byte, error) {
	return g.cache.GetOrLoad(ctx, nil, key, g.getter)
}

// A getter with a cache in front of it.
func Example_group() {
	c, err := cache.NewText(cache.Options{MaxBytes: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	thumbnails := &group{cache: c, getter: func(_ context.Context, key string) ([]byte, error) {
		fmt.Println("drawing", key)
		return []byte("a small " + key), nil
	}}
	for range 2 {
		v, err := thumbnails.Get(context.Background(), "cat.jpg")
		fmt.Printf("%s %v\n", v, err)
	}
	// Output:
	// drawing cat.jpg
	// a small cat.jpg <nil>
	// a small cat.jpg <nil>
}
