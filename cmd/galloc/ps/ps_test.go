package ps_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/cmd/galloc/ps"
	"github.com/galloc-go/galloc/procmem"
	"github.com/galloc-go/galloc/procmem/handler"
)

func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(t.Context(), []cli.Command{ps.Command}, append([]string{"ps"}, args...)...)
}

func TestOfURLAndPID(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the figures")
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/galloc/memory", handler.New())
	server := httptest.NewServer(mux)
	defer server.Close()

	status, stdout, stderr := run(t, server.URL)
	if status != cli.ExitOK || stderr != "" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	clitest.WantText(t, "stdout", stdout, "process "+strconv.Itoa(os.Getpid())+", ...galloc heap...\n\nGo heap in use ...\ncode and data ...\nresident ...100.0 %\n")

	profile := filepath.Join(t.TempDir(), "memory.pb.gz")
	status, stdout, _ = run(t, "-json", "-pprof", profile, server.URL+"/debug/galloc/memory")
	s, err := procmem.Parse([]byte(stdout))
	if err != nil || status != cli.ExitOK || s.PID != os.Getpid() {
		t.Errorf("exit status %d, %v: %s", status, err, stdout)
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("the profile: %v, %v", info, err)
	}
	if status, _, stderr := run(t, "-pprof", t.TempDir(), server.URL); status != cli.ExitFailure || stderr == "" {
		t.Errorf("a profile that cannot be written: exit status %d, %s", status, stderr)
	}

	status, stdout, _ = run(t, strconv.Itoa(os.Getpid()))
	if status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout, "code and data ...anonymous ...resident ")
}

// The command checks an answer, and an answer cannot change the state of a terminal.
func TestAnswersThatAreRefused(t *testing.T) {
	good := func(place string) string {
		text, _ := json.Marshal(map[string]any{
			"time": "2026-01-02T03:04:05Z", "pid": 7, "resident": 5, "gallocLive": 5,
			"sites": []any{map[string]any{"place": place, "bytes": 5}},
		})
		return string(text)
	}
	for _, c := range []struct {
		code           int
		answer         string
		status         int
		stdout, stderr string
	}{
		{200, good("main \x1b]0;a\x07\u202e"), 0, "main ?]0;a??\n", ""},
		{200, "<html>", 1, "", "not a snapshot: ...(does the program serve procmem/handler there?)"},
		{200, "{}", 1, "", "it has no time or no pid"},
		{200, strings.Replace(good("a"), `"gallocLive":5`, `"gallocLive":6`, 1), 1, "", "the parts do not sum"},
		{501, "only \x1bLinux\n", 1, "", "501 Not Implemented: only ?Linux\n"},
		{404, "404 page not found", 1, "", "404 Not Found: 404 page"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.code)
			_, _ = w.Write([]byte(c.answer))
		}))
		status, stdout, stderr := run(t, server.URL)
		server.Close()
		if status != c.status {
			t.Errorf("%q: exit status %d, %s", c.answer, status, stderr)
		}
		clitest.WantText(t, "stdout", stdout, c.stdout)
		clitest.WantText(t, "stderr", stderr, c.stderr)
		if strings.ContainsAny(stdout+stderr, "\x1b\x07") {
			t.Errorf("%q is printed as it is", c.answer)
		}
	}
	server := httptest.NewServer(nil)
	server.Close()
	status, _, stderr := run(t, server.URL)
	if status != cli.ExitFailure || !strings.HasPrefix(stderr, "galloc ps: "+server.URL+"/debug/galloc/memory: ") {
		t.Errorf("no server: exit status %d, %s", status, stderr)
	}
}
