package prometheus_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	root "github.com/galloc-go/galloc"
	galloc "github.com/galloc-go/galloc/adapters/prometheus"
	_ "github.com/galloc-go/galloc/global/heap"
	"github.com/galloc-go/galloc/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

func registry(t *testing.T, o galloc.Options) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry() // it compares Collect with Describe
	if err := r.Register(galloc.NewCollector(o)); err != nil {
		t.Fatal(err)
	}
	return r
}

// gather returns the metrics by name.
func gather(t *testing.T, r *prometheus.Registry) map[string][]*dto.Metric {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*dto.Metric{}
	for _, f := range families {
		all[f.GetName()] = f.GetMetric()
	}
	return all
}

func TestNamesAreAsPrometheusWants(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, galloc.Options{BySize: true}))
	if err != nil || len(problems) != 0 {
		t.Error(problems, err)
	}
}

// There is a metric for each figure, and it follows the allocator.
func TestMetricsFollowTheAllocator(t *testing.T) {
	r := registry(t, galloc.Options{BySize: true})
	before := gather(t, r)
	if n, want := len(before), len(metrics.All())+1; n != want {
		t.Errorf("%d metrics, want %d", n, want)
	}
	l := root.LayoutOf[[12]uint64]()
	const n = 1000
	for range n {
		p := root.Alloc(l)
		defer root.Dealloc(p, l)
	}
	big := root.Must(root.ArrayLayout[byte](64 << 20))
	p := root.Alloc(big)
	after := gather(t, r)
	root.Dealloc(p, big)
	change := func(name string) float64 {
		return after[name][0].GetGauge().GetValue() - before[name][0].GetGauge().GetValue()
	}
	if got := change("galloc_memory_live_blocks"); got != n+1 {
		t.Errorf("%v more blocks, want %d", got, n+1)
	}
	if got := change("galloc_memory_live_bytes"); got < 96*n+64<<20 || got > 96*n+65<<20 {
		t.Errorf("%v more bytes", got)
	}
	grown := map[string]float64{}
	for i, m := range after["galloc_memory_live_by_size_blocks"] {
		grown[m.GetLabel()[0].GetValue()] += m.GetGauge().GetValue() -
			before["galloc_memory_live_by_size_blocks"][i].GetGauge().GetValue()
	}
	if grown["96"] != n || grown["+Inf"] != 1 {
		t.Errorf("blocks by size have grown by %v", grown)
	}
	for name, all := range after {
		if strings.HasSuffix(name, "_total") && all[0].GetCounter().GetValue() < before[name][0].GetCounter().GetValue() {
			t.Errorf("%s has fallen", name)
		}
	}
}

func TestSizesAreAnOption(t *testing.T) {
	if all := gather(t, registry(t, galloc.Options{})); all["galloc_memory_live_by_size_blocks"] != nil {
		t.Error("there are series by size")
	}
}

func TestScrape(t *testing.T) {
	s := httptest.NewServer(promhttp.HandlerFor(registry(t, galloc.Options{}), promhttp.HandlerOpts{}))
	defer s.Close()
	answer, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\ngalloc_info{allocator=\"galloc heap",
		"\n# TYPE galloc_memory_footprint_bytes gauge\n",
		"\n# TYPE galloc_calls_purged_bytes_total counter\n",
		"\ngalloc_decay_seconds 1\n",
		"\ngalloc_limit_hard_bytes 0\n",
	} {
		if !strings.Contains("\n"+string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func BenchmarkCollect(b *testing.B) {
	r := prometheus.NewRegistry()
	r.MustRegister(galloc.NewCollector(galloc.Options{BySize: true}))
	for b.Loop() {
		if _, err := r.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
