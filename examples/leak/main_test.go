package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"
)

// The test runs main in a new process: the test binary with this variable set.
const runMain = "GALLOC_TEST_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTheLeakIsReported(t *testing.T) {
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	for setting, want := range map[string]string{
		"GALLOC=":      `^$`,
		"GALLOC=debug": `16 bytes in 1 block[^\n]* allocated at [^ \n]*main\.go:\d+ by galloc\.New`,
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), setting, runMain+"=1")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || stdout.String() != "user 1 is not welcome\n" {
			t.Errorf("%s: %v, printed %q", setting, err, stdout.String())
		}
		if !regexp.MustCompile(want).MatchString(stderr.String()) {
			t.Errorf("%s: the report is\n%s", setting, stderr.String())
		}
	}
}
