package heapview_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/galloc-go/galloc/heapview"
)

func ExampleNew() {
	view := heapview.New(heapview.Options{})
	defer view.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/galloc/view", view)

	server := httptest.NewServer(mux) // at 127.0.0.1
	defer server.Close()
	response, err := http.Get(server.URL + "/debug/galloc/view")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	fmt.Println(strings.Split(response.Header.Get("Content-Security-Policy"), ";")[0])
	// Output:
	// 200 OK
	// default-src 'none'
}
