package repotest

import (
	"os"
	"os/exec"
	"testing"
)

// Each example has a test that runs it. With a memory checker it must do the same, and no misuse
// must be found.
func TestTheExamplesRunCleanWithTheChecker(t *testing.T) {
	needSource(t)
	needGo(t)
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "./examples/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GALLOC=debug")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
