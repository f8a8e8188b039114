package suite

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"example.org/p"}
{"Action":"run","Package":"example.org/p","Test":"TestA"}
{"Action":"output","Package":"example.org/p","Test":"TestA","Output":"ok\n"}
{"Action":"pass","Package":"example.org/p","Test":"TestA"}
{"Action":"output","Package":"example.org/p","Test":"TestB/x","Output":"p_test.go:3: wrong\n"}
{"Action":"fail","Package":"example.org/p","Test":"TestB/x"}
{"Action":"fail","Package":"example.org/p","Test":"TestB"}
{"Action":"skip","Package":"example.org/p","Test":"TestC"}
{"Action":"fail","Package":"example.org/p"}
{"Action":"skip","Package":"example.org/none"}
{"ImportPath":"example.org/q [example.org/q.test]","Action":"build-output","Output":"q.go:1:1: undefined: x\n"}
{"Action":"fail","Package":"example.org/q","FailedBuild":"example.org/q [example.org/q.test]"}
{"Action":"pass","Package":"example.org/r"}
`

func TestParse(t *testing.T) {
	r, err := parse(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"passed", r.passed, []string{"example.org/p TestA"}},
		{"failed", r.failed, []string{"example.org/p TestB/x", "example.org/p TestB", "example.org/p", "example.org/q"}},
		{"skipped", r.skipped, []string{"example.org/p TestC"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if r.output["example.org/p TestB/x"] != "p_test.go:3: wrong\n" || r.output["example.org/q"] != "q.go:1:1: undefined: x\n" {
		t.Errorf("output: %q", r.output)
	}
	if got, want := r.failures(), []string{"example.org/p TestB/x", "example.org/q"}; !slices.Equal(got, want) {
		t.Errorf("failures: %q, want %q", got, want)
	}
	l := Library{Known: map[string]string{"example.org/p TestB": "known"}}
	if l.known("example.org/p TestB/x") == "" || l.known("example.org/p TestB") == "" || l.known("example.org/p TestBC") != "" {
		t.Error("known tests are not recognized")
	}
	if _, err := parse(strings.NewReader("FAIL\n")); err == nil {
		t.Error("no error for what is not JSON")
	}
}

func TestEdit(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f.go")
	for text, want := range map[string]string{"a b c": "a x c", "a c": "", "b b": ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Edit{File: "f.go", Old: "b", New: "x"}.make(dir)
		if got, _ := os.ReadFile(name); (err == nil) != (want != "") || err == nil && string(got) != want {
			t.Errorf("%q becomes %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestEditFunctions(t *testing.T) {
	const text = "package p\n\nfunc A() {}\n\nfunc B() { A() }\n\nvar x = 1\n\nfunc C() {}\n"
	got, err := without([]byte(text), []string{"C", "A"})
	if want := "package p\n\n\n\nfunc B() { A() }\n\nvar x = 1\n\n\n"; err != nil || string(got) != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	if _, err := without([]byte(text), []string{"A", "D"}); err == nil {
		t.Error("no error for a function that is not there")
	}
}
