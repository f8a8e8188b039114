package replay_test

import (
	"context"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/cmd/galloc/replay"
)

func commandIn(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(ctx, []cli.Command{replay.Command}, append([]string{"replay"}, args...)...)
}

func TestPage(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	const odd = "a <script>&amp; b.trace"
	if err := os.Rename("threads.trace", odd); err != nil {
		t.Skip("this system has no such names: ", err)
	}
	status, stdout, stderr := commandIn(t.Context(), "-rounds", "2", "-alloc", "sink,heap,system", "-html", "page.html", "ok.trace", odd)
	if status != cli.ExitOK || stderr != "" || !strings.Contains(stdout, "system") {
		t.Fatalf("exit status %d: %s%s", status, stdout, stderr)
	}
	text, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	clitest.WantText(t, "the page", page, "<!DOCTYPE html>...prefers-color-scheme: dark...<h2>ok</h2>...<dd>4.14 kB, 2 objects</dd>"+
		"...Bytes in use, and resident memory...Time of a call...Sizes of objects...Lifetimes of objects..."+
		"<td>sink</td>...<td>heap</td>...<td>system</td>...a &lt;script&gt;&amp;amp; b</h2>")
	// Nothing is loaded from elsewhere, and nothing is a program.
	for _, bad := range []string{"http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	drawings := regexp.MustCompile(`(?s)<svg .*?</svg>`).FindAllString(page, -1)
	if len(drawings) != 8 {
		t.Errorf("%d drawings", len(drawings))
	}
	for _, d := range drawings {
		for decoder := xml.NewDecoder(strings.NewReader(d)); ; {
			_, err := decoder.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v:\n%s", err, d)
			}
		}
		if !strings.Contains(d, `role="img" aria-label="`) || strings.Contains(d, "NaN") || strings.Contains(d, "Inf") {
			t.Errorf("the drawing is\n%s", d)
		}
	}
	if n := strings.Count(drawings[0], "<path "); runtime.GOOS == "linux" && n != 3 {
		t.Errorf("%d lines: in use, heap and system are wanted", n)
	}
}

// The page has a row for what failed, and no page is left after an interruption.
func TestPageAfterFailures(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	status, _, _ := commandIn(t.Context(), "-rounds", "1", "-alloc", "heap,system", "-html", "page.html", "text.trace", "sum.trace", "ok.trace", "comments.trace")
	if status != cli.ExitFailure {
		t.Errorf("exit status %d", status)
	}
	text, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	clitest.WantText(t, "the page", string(text), "<h2>ok</h2>...<h2>comments</h2>")
	if strings.Contains(string(text), "<h2>text</h2>") {
		t.Error("a malformed trace is on the page")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status, _, _ := commandIn(ctx, "-html", "other.html", "ok.trace"); status != cli.ExitInterrupted {
		t.Errorf("exit status %d", status)
	}
	if _, err := os.Stat("other.html"); err == nil {
		t.Error("a page is left")
	}
	status, stdout, stderr := commandIn(t.Context(), "-html", filepath.Join("no", "page.html"), "ok.trace")
	if status != cli.ExitFailure || strings.Contains(stdout, "heap ") {
		t.Errorf("exit status %d, %s%s", status, stdout, stderr)
	}
	for _, flag := range []string{"-check", "-threads"} {
		if status, _, _ := commandIn(t.Context(), "-html", "page.html", flag, "ok.trace"); status != cli.ExitUsage {
			t.Errorf("%s: exit status %d", flag, status)
		}
	}
}
