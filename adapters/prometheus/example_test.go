package prometheus_test

import (
	"net/http"

	galloc "github.com/galloc-go/galloc/adapters/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func Example() {
	prometheus.MustRegister(galloc.NewCollector(galloc.Options{}))
	http.Handle("/metrics", promhttp.Handler())
}
