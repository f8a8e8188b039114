package repotest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tests that .ci/test-all leaves out of some forms, since they build programs, are all tests of
// selection_test.go.
func TestTestsThatBuildProgramsAreListed(t *testing.T) {
	needSource(t)
	script, err := os.ReadFile(root + "/.ci/lib")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^programs='\^Test\((.*)\)\$'$`).FindSubmatch(script)
	if list == nil {
		t.Fatal(".ci/lib does not set programs")
	}
	tests, err := os.ReadFile(root + "/selection_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^func Test(\w+)\(`).FindAllSubmatch(tests, -1) {
		want = append(want, string(m[1]))
	}
	if got := strings.Split(string(list[1]), "|"); !slices.Equal(got, want) {
		t.Errorf("programs in .ci/lib has %v, selection_test.go has %v", got, want)
	}
}
