package opentelemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/adapters/opentelemetry"
	_ "github.com/galloc-go/galloc/global/heap"
	"github.com/galloc-go/galloc/metrics"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// register returns a function that collects all metrics by name, and one that ends that.
func register(t *testing.T, o opentelemetry.Options) (collect func() map[string]metricdata.Metrics, end func() error) {
	t.Helper()
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	registration, err := opentelemetry.Register(provider, o)
	if err != nil {
		t.Fatal(err)
	}
	return func() map[string]metricdata.Metrics {
		t.Helper()
		var all metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &all); err != nil {
			t.Fatal(err)
		}
		byName := map[string]metricdata.Metrics{}
		for _, s := range all.ScopeMetrics {
			for _, m := range s.Metrics {
				byName[m.Name] = m
			}
		}
		return byName
	}, registration.Unregister
}

// sum returns the only value of a metric.
func sum(t *testing.T, all map[string]metricdata.Metrics, name string) int64 {
	t.Helper()
	s, ok := all[name].Data.(metricdata.Sum[int64])
	if !ok || len(s.DataPoints) != 1 {
		t.Fatalf("%s: %+v", name, all[name].Data)
	}
	return s.DataPoints[0].Value
}

// There is an instrument for each figure, of the right kind, with a description and a unit.
func TestInstruments(t *testing.T) {
	collect, _ := register(t, opentelemetry.Options{BySize: true})
	all := collect()
	if n, want := len(all), len(metrics.All())+1; n != want {
		t.Errorf("%d instruments, want %d", n, want)
	}
	counters := 0
	for name, m := range all {
		if !strings.HasPrefix(name, "galloc.") || strings.ContainsAny(name, "/:- ") {
			t.Errorf("the name %s", name)
		}
		if m.Description == "" || m.Unit == "" && name != "galloc.info" {
			t.Errorf("%s has the description %q and the unit %q", name, m.Description, m.Unit)
		}
		if s, ok := m.Data.(metricdata.Sum[int64]); ok && s.IsMonotonic {
			counters++
		}
	}
	for _, d := range metrics.All() {
		if d.Cumulative {
			counters--
		}
	}
	if counters != 0 {
		t.Errorf("%d counters too many", counters)
	}
	for name, unit := range map[string]string{
		"galloc.memory.live": "By", "galloc.memory.live.blocks": "{block}", "galloc.decay": "s",
		"galloc.events.refusals.limit": "{event}", "galloc.calls.purged": "By",
		"galloc.memory.live_by_size.blocks": "{block}", "galloc.events.soft_limit": "{event}",
	} {
		if m, ok := all[name]; !ok || m.Unit != unit {
			t.Errorf("%s: unit %q, want %q", name, m.Unit, unit)
		}
	}
	info, ok := all["galloc.info"].Data.(metricdata.Gauge[int64])
	if !ok || len(info.DataPoints) != 1 || info.DataPoints[0].Value != 1 {
		t.Fatalf("galloc.info is %+v", all["galloc.info"])
	}
	if v, _ := info.DataPoints[0].Attributes.Value("galloc.allocator"); !strings.HasPrefix(v.AsString(), "galloc heap") {
		t.Errorf("the allocator is %q", v.AsString())
	}
}

func TestValuesFollowTheAllocator(t *testing.T) {
	collect, _ := register(t, opentelemetry.Options{BySize: true})
	before := collect()
	const n = 1000
	l := galloc.LayoutOf[[12]uint64]()
	for range n {
		p := galloc.Alloc(l)
		defer galloc.Dealloc(p, l)
	}
	big := galloc.Must(galloc.ArrayLayout[byte](64 << 20))
	p := galloc.Alloc(big)
	after := collect()
	galloc.Dealloc(p, big)
	if got := sum(t, after, "galloc.memory.live.blocks") - sum(t, before, "galloc.memory.live.blocks"); got != n+1 {
		t.Errorf("%d more blocks, want %d", got, n+1)
	}
	got := sum(t, after, "galloc.memory.live") - sum(t, before, "galloc.memory.live")
	if got < 96*n+64<<20 || got > 96*n+65<<20 {
		t.Errorf("%d more bytes", got)
	}
	if d, ok := after["galloc.decay"].Data.(metricdata.Gauge[float64]); !ok || d.DataPoints[0].Value != 1 {
		t.Errorf("galloc.decay is %+v", after["galloc.decay"].Data)
	}
	bySize := func(all map[string]metricdata.Metrics, size int64) int64 {
		for _, p := range all["galloc.memory.live_by_size.blocks"].Data.(metricdata.Sum[int64]).DataPoints {
			if v, ok := p.Attributes.Value("galloc.block.size"); ok && v.AsInt64() == size {
				return p.Value
			}
		}
		t.Fatalf("there is no size %d", size)
		return 0
	}
	for size, want := range map[int64]int64{96: n, 0: 1} {
		if got := bySize(after, size) - bySize(before, size); got != want {
			t.Errorf("%d more blocks of size %d, want %d", got, size, want)
		}
	}
}

func TestSizesAreAnOption(t *testing.T) {
	collect, _ := register(t, opentelemetry.Options{})
	if _, ok := collect()["galloc.memory.live_by_size.blocks"]; ok {
		t.Error("there are blocks by size")
	}
}

func TestUnregisterEnds(t *testing.T) {
	collect, end := register(t, opentelemetry.Options{})
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if all := collect(); len(all) != 0 {
		t.Errorf("%d metrics are left", len(all))
	}
}

// refusing is a provider whose meter makes no counters.
type refusing struct{ noop.MeterProvider }

type refusingMeter struct{ noop.Meter }

var errRefused = errors.New("refused")

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

func (refusingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return nil, errRefused
}

func TestAFailureOfTheProviderIsReported(t *testing.T) {
	r, err := opentelemetry.Register(refusing{}, opentelemetry.Options{})
	if r != nil || !errors.Is(err, errRefused) || !strings.HasPrefix(err.Error(), "galloc/opentelemetry: ") {
		t.Errorf("%v, %v", r, err)
	}
}

func BenchmarkCollect(b *testing.B) {
	reader := sdk.NewManualReader()
	if _, err := opentelemetry.Register(sdk.NewMeterProvider(sdk.WithReader(reader)), opentelemetry.Options{BySize: true}); err != nil {
		b.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	for b.Loop() {
		if err := reader.Collect(context.Background(), &all); err != nil {
			b.Fatal(err)
		}
	}
}
