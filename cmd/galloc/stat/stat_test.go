package stat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/cmd/galloc/stat"
)

func run(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(ctx, []cli.Command{stat.Command}, append([]string{"stat"}, args...)...)
}

const table = `ok.trace
  events                         4 100.0 %
  malloc                         1  25.0 %
  calloc                         1  25.0 %
  aligned                        0   0.0 %
  realloc                        1  25.0 %
    of these         1 grow, 0 shrink, 0 of no object
  free                           1  25.0 %

  allocated                      3 objects      4.17 kB, the largest 4.10 kB, the mean 1.39 kB
  the most in use                2 objects, 4.14 kB after 3 events
  in use at the end              1 objects         48 B

  size in bytes                   objects
  16 to 31                              1  33.3 %         24 B #############
  32 to 63                              1  33.3 %         48 B #############
  4096 to 8191                          1  33.3 %      4.10 kB #############

  lifetime in calls               objects
  2 to 3                                2  66.7 %      4.12 kB ###########################
  to the end                            1  33.3 %         48 B #############

  thread                    events         begin           end of other threads
  0                              4             3             2                0
`

func TestTable(t *testing.T) {
	clitest.InTraces(t)
	status, stdout, stderr := run(t.Context(), "ok.trace")
	if status != cli.ExitOK || stderr != "" || stdout != table {
		t.Errorf("exit status %d, %s: the table is\n%s", status, stderr, stdout)
	}
	if testing.Short() { // sqlite has a million events
		return
	}
	status, stdout, _ = run(t.Context(), "ok.trace.gz", "threads.trace", "comments.trace", "sqlite")
	if status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout, "ok.trace.gz\n...\n\nthreads.trace\n...  1 ...2 ...1 ...1 ...1\n"+
		"...\n\ncomments.trace\n...events  ...0   0.0 %\n...\n\nsqlite\n...1,067,395 100.0 %")
}

func TestJSON(t *testing.T) {
	clitest.InTraces(t)
	_, stdout, _ := run(t.Context(), "-json", "ok.trace", "leak.trace")
	var all []struct {
		Trace     string
		Events    int
		PeakBytes uint64
		Sizes     []struct{ Objects int }
	}
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || len(all) != 2 || all[0].Events != 4 ||
		all[0].PeakBytes != 4144 || all[1].Trace != "leak.trace" || all[1].Sizes[20].Objects != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestFailures(t *testing.T) {
	clitest.InTraces(t)
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{nil, cli.ExitUsage, "which trace? write a path, or one of mariadb, sqlite"},
		{[]string{"ok.trace", "-json"}, cli.ExitUsage, "-json is after an argument: write flags first"},
		{[]string{"missing"}, cli.ExitFailure, `cannot read the trace "missing": ...(TRACE is a path, or one of mariadb, sqlite)`},
		{[]string{"sub dir"}, cli.ExitFailure, "sub dir is a directory"},
		{[]string{"text.trace"}, cli.ExitFailure, `text.trace:3: "hello": `},
		{[]string{"twice.trace"}, cli.ExitFailure, "twice.trace:4: "},
		{[]string{"empty.trace"}, cli.ExitFailure, "empty.trace:1: "},
		{[]string{"cut.trace.gz"}, cli.ExitFailure, "cut.trace.gz:"},
		{[]string{"-h"}, cli.ExitOK, ""},
		{[]string{"--", "-dash.trace"}, cli.ExitOK, ""},
	} {
		status, stdout, stderr := run(t.Context(), c.args...)
		if status != c.status || status != cli.ExitOK && stdout != "" {
			t.Errorf("%q: exit status %d, %s%s", c.args, status, stdout, stderr)
		}
		clitest.WantText(t, "stderr", stderr, c.stderr)
	}
	var stderr bytes.Buffer
	if status := cli.Run(t.Context(), []cli.Command{stat.Command}, []string{"stat", "ok.trace"}, &clitest.Full{Room: 9}, &stderr); status != cli.ExitFailure {
		t.Errorf("a full disk: exit status %d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status, stdout, _ := run(ctx, "sqlite"); status != cli.ExitInterrupted || stdout != "" {
		t.Errorf("exit status %d, %s", status, stdout)
	}
}
