package metrics_test

import (
	"encoding/json"
	"expvar"
	"fmt"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/metrics"
)

// The figures as a variable of package expvar, which /debug/vars shows.
func ExampleReadSnapshot_expvar() {
	expvar.Publish("galloc", expvar.Func(func() any { return metrics.ReadSnapshot() }))

	b := galloc.Must(galloc.New[[100]byte](nil))
	defer galloc.Free(nil, b)
	var s metrics.Snapshot
	if err := json.Unmarshal([]byte(expvar.Get("galloc").String()), &s); err != nil {
		panic(err)
	}
	fmt.Println(s.Live > 0)
	// Output: true
}
