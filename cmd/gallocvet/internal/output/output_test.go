package output

import (
	"strings"
	"testing"
)

const found = `{
	"example.org/p": {
		"leak": [
			{
				"posn": "/src/p/p.go:7:2",
				"message": "p is not freed"
			}
		]
	}
}
`

// Not all that go vet prints beside the results is a failure.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		findings   int
		err        string
	}{
		{"nothing", "", 0, ""},
		{"a package without findings", "# example.org/p\n{}\n", 0, ""},
		{"a finding", "# example.org/p\n" + found, 1, ""},
		{"the same in two variants", "# example.org/p\n" + found + "# [example.org/p]\n" + found, 1, ""},
		{"modules that are fetched", "go: downloading example.org/q v1.2.3\n" + found + "go: downloading example.org/r v1.0.0\n", 1, ""},
		{
			"a package that does not compile", "# example.org/p\nvet: p.go:3:1: undefined: x\n" + found, 1,
			"gallocvet: go vet failed: vet: p.go:3:1: undefined: x",
		},
		{"a module that is missing", "go: example.org/q@v1: not found\n", 0, "go: example.org/q@v1: not found"},
		{"a result that is cut off", "{\n\t\"example.org/p\": {\n", 0, "gallocvet: go vet failed"},
	} {
		findings, err := Parse([]byte(c.text))
		if len(findings) != c.findings {
			t.Errorf("%s: %d findings, want %d: %v", c.name, len(findings), c.findings, findings)
		}
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
}
