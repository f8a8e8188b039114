package galloc_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// Events that happen once per program (the registration) or end it (a failed allocation) are tested
// in child processes: the test binary runs itself with the name of a child in the environment.

const childVar = "GALLOC_TEST_CHILD"

var children = map[string]func(){}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVar); name != "" {
		child, ok := children[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "no child %q\n", name)
			os.Exit(99)
		}
		child()
		os.Exit(0)
	}
	status := m.Run()
	removeBuilds()
	os.Exit(status)
}

// needGo skips a test that runs the go command, where that cannot be: the platform has no
// processes, or the test binary was taken to another machine.
func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here: ", err)
	}
}

// outcome is what a child process printed and how it ended.
type outcome struct {
	stdout, stderr string
	err            error // nil if it exited with 0
}

func runChild(t *testing.T, name string, env ...string) outcome {
	t.Helper()
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childVar+"="+name, "GALLOC="), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return outcome{stdout.String(), stderr.String(), err}
}
