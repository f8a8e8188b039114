package repotest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// go vet reports a copy of any value that must not be copied.
func TestVetReportsCopies(t *testing.T) {
	needGo(t)
	const program = "internal/repotest/testdata/copies"
	text, err := os.ReadFile(root + "/" + program + "/copies.go")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "vet", "-copylocks", "./"+program)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	output, _ := cmd.CombinedOutput() // it fails, since it has something to report
	copies := 0
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.Contains(line, " := *") {
			continue
		}
		copies++
		if !strings.Contains(string(output), fmt.Sprintf("copies.go:%d:", i+1)) {
			t.Errorf("go vet does not report line %d: %s", i+1, strings.TrimSpace(line))
		}
	}
	if t.Failed() || copies < 20 {
		t.Errorf("go vet, of %d copies:\n%s", copies, output)
	}
}
