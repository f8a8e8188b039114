package repotest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// go test keeps the result of a test for the environment that the test has read, and GALLOC is part
// of it, however early the global allocator is used.
func TestGoTestKnowsThatTestsReadGALLOC(t *testing.T) {
	needGo(t)
	packages := []string{"lazy", "early", "chosen"}
	test := func(galloc string) string {
		args := []string{"test"}
		for _, p := range packages {
			args = append(args, "./internal/repotest/testdata/testlog/"+p)
		}
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GALLOC="+galloc)
		output, _ := cmd.CombinedOutput() // with a wrong setting, it fails
		return string(output)
	}
	test("")
	if kept := test(""); strings.Count(kept, "(cached)") != len(packages) {
		t.Fatalf("the second time go test says:\n%s", kept)
	}
	for _, setting := range []string{"heap,limit=1GiB,decay=77s", "debug,quarantine=1MiB", "system"} {
		test(setting)
		if kept := test(setting); strings.Count(kept, "(cached)") != len(packages) {
			t.Errorf("the second time, with GALLOC=%s, go test says:\n%s", setting, kept)
		}
	}
	if wrong := test("nope"); strings.Count(wrong, "no such allocator") != len(packages) {
		t.Errorf("with GALLOC=nope, go test says:\n%s", wrong)
	}
}
