package prometheus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	galloc "github.com/galloc-go/galloc/adapters/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The dashboard and the alerts use metrics that exist.
func TestDashboardAndAlertsNameMetrics(t *testing.T) {
	there := gather(t, registry(t, galloc.Options{BySize: true}))
	for _, file := range []string{"alerts.yml", "dashboard.json", "README.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bgalloc_\w+`).FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if there[name] == nil {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

// find returns the path of a program of Prometheus, or skips the test.
func find(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("GALLOC_REQUIRE") == "1" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("Debian's package prometheus is not installed: ", err)
	}
	return path
}

// Each alert fires in its situation, and none in a service in good health.
func TestAlerts(t *testing.T) {
	tool := find(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	alerts, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(alerts, -1) {
		if !bytes.Contains(tests, fmt.Appendf(nil, "- alertname: %s\n", m[1])) {
			t.Errorf("there is no situation for %s", m[1])
		}
	}
}

// A Prometheus server scrapes the collector, evaluates the rules, and answers every query of the
// dashboard.
func TestServer(t *testing.T) {
	program := find(t, "prometheus")
	r := registry(t, galloc.Options{BySize: true})
	r.MustRegister(collectors.NewGoCollector())
	metrics := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	defer metrics.Close()
	s := startServer(t, program, metrics.Listener.Addr().String())

	for _, expr := range queries(t) {
		limited := strings.Contains(expr, "_limit_") && strings.Contains(expr, "> 0")
		for {
			var answer struct{ Result []any }
			s.get(t, "query?query="+url.QueryEscape(expr), &answer)
			if limited || len(answer.Result) != 0 { // this process has no limit
				break
			}
			s.wait(t, "a value of "+expr)
		}
	}
	for {
		var answer struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		s.get(t, "rules", &answer)
		evaluated := len(answer.Groups) != 0
		for _, g := range answer.Groups {
			for _, rule := range g.Rules {
				evaluated = evaluated && rule.Health == "ok"
				if rule.Health == "err" {
					t.Errorf("%s: %s", rule.Name, rule.LastError)
				}
			}
		}
		if evaluated || t.Failed() {
			break
		}
		s.wait(t, "the rules")
	}
}

// queries returns the queries of the dashboard, with the variables that Grafana replaces.
func queries(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	replacer := strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", "1m")
	for _, p := range dashboard.Panels {
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("a panel has no title, no description or no query: %+v", p)
		}
		for _, target := range p.Targets {
			all = append(all, replacer.Replace(target.Expr))
		}
	}
	return all
}

// A server is a running Prometheus.
type server struct {
	api string
	ctx context.Context // done when the server has ended, or after a minute
	log string          // the path of what it prints
}

// startServer starts a Prometheus that scrapes the target and has alerts.yml, and stops it when the
// test ends.
func startServer(t *testing.T, program, target string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	rules, err := filepath.Abs("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	err = os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs: [{job_name: test, static_configs: [{targets: [%q]}]}]
`, rules, target), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s := &server{api: "http://" + address + "/api/v1/", ctx: ctx, log: filepath.Join(dir, "log")}
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_ = cmd.Wait() // it ends by the signal below
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return s
}

// get asks the API of the server until it answers.
func (s *server) get(t *testing.T, path string, data any) {
	t.Helper()
	for {
		answer, err := http.Get(s.api + path)
		if err != nil || answer.StatusCode == http.StatusServiceUnavailable {
			if err == nil { // it has not started yet
				answer.Body.Close()
			}
			s.wait(t, "the server")
			continue
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s: %v", path, answer.Status, text, err)
		}
		if err := json.Unmarshal(text, &struct{ Data any }{data}); err != nil {
			t.Fatal(err)
		}
		return
	}
}

// wait lets the server work.
func (s *server) wait(t *testing.T, what string) {
	t.Helper()
	select {
	case <-s.ctx.Done():
		log, _ := os.ReadFile(s.log)
		t.Fatalf("the server has not come to %s:\n%s", what, log)
	case <-time.After(50 * time.Millisecond):
	}
}
