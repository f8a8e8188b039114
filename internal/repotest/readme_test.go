package repotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program in the README is run as its reader would: in a new module, which the README's command
// makes use this one.
func TestProgramInTheReadmeRuns(t *testing.T) {
	needGo(t)
	readme, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	between := func(start, end string) string {
		_, rest, ok := strings.Cut(string(readme), start)
		text, _, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("nothing between %q and %q in README.md", start, end)
		}
		return text
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(between("```go\n", "```")), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		// The modules that galloc itself requires are in the module cache already.
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GONOSUMDB=*", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("mod", "init", "example.org/program")
	edit := strings.Fields(between("    go mod edit ", "\n"))
	for i, arg := range edit {
		edit[i] = strings.Replace(arg, "=../galloc", "="+here, 1)
	}
	run(append([]string{"mod", "edit"}, edit...)...)
	if out := run("run", "."); !strings.HasPrefix(out, "1000000 0 galloc heap, the default") {
		t.Errorf("it printed %q", out)
	}
}

// A reader sees all of the README in a few minutes.
func TestReadmeIsShort(t *testing.T) {
	needSource(t)
	const most = 140
	readme, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(readme), "\n"); n > most {
		t.Errorf("README.md has %d lines: the limit is %d", n, most)
	}
}
