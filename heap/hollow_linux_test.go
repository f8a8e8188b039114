package heap_test

import (
	"testing"

	"github.com/galloc-go/galloc/heap"
)

// BenchmarkScattered reports how much memory stays for each byte of one block in 64, and the time
// of a Trim that returns the rest.
func BenchmarkScattered(b *testing.B) {
	for b.Loop() {
		h, err := heap.New(heap.Options{Decay: -1})
		if err != nil {
			b.Fatal(err)
		}
		before := resident()
		scatter(h)
		full := resident()
		h.Trim()
		s := h.Stats()
		b.ReportMetric(float64(full-before)/mib, "MiB-before")
		b.ReportMetric(float64(resident()-before)/mib, "MiB-resident")
		b.ReportMetric(float64(s.Live)/mib, "MiB-live")
		b.ReportMetric(float64(s.Footprint)/mib, "MiB-footprint")
		h.Close()
	}
}
