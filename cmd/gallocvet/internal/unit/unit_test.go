package unit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/lifetime"
	"golang.org/x/tools/go/analysis"
)

func TestMentions(t *testing.T) {
	names := map[string]bool{"Get": true, "Put": true}
	for text, want := range map[string]bool{
		"package p\n":                           false,
		"package p\nfunc Get() {}\n":            false,
		"package p\nvar x = a.Getter()\n":       false,
		"package p\nvar x = a.Get()\n":          true,
		"package p\nvar x = a.\n\tPut\n":        true,
		"package p\nvar x = a.B.C.Get\n":        true,
		"package p\nimport . \"sync\"\n":        true,
		"package p\nimport (\n\t. \"sync\"\n)":  true,
		"package p\nvar x = \"ends. \"\n":       false,
		"package p\nvar x = (_Cfunc_free)(p)\n": true,
		"package p\nvar x = 1.":                 false,
	} {
		if got := mentions([]byte(text), names); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// unitOf writes a package of one file and its description.
func unitOf(t *testing.T, c Config, source string) (cfg, facts string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, 0o666); err != nil {
			t.Fatal(err)
		}
		return name
	}
	c.ID, c.Compiler, c.Dir, c.ImportPath = "example.com/dep", "gc", dir, "example.com/dep"
	c.GoVersion, c.GoFiles = "go1.26", []string{write("dep.go", []byte(source))}
	c.VetxOutput = filepath.Join(dir, "facts")
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return write("vet.cfg", text), c.VetxOutput
}

// A dependency that cannot matter is not even parsed, but has a file of facts.
func TestSkip(t *testing.T) {
	const wrong = "package dep\n\nvar x int = true\n\nvar y = z.Get()\n"
	for _, c := range []struct {
		name   string
		cfg    Config
		source string
		skips  bool
	}{
		{"a dependency", Config{VetxOnly: true, ModulePath: "example.com", ModuleVersion: "v1.0.0"}, strings.ReplaceAll(wrong, "Get", "Got"), true},
		{"that may use a pool", Config{VetxOnly: true, ModulePath: "example.com", ModuleVersion: "v1.0.0"}, wrong, false},
		{"of the standard library", Config{VetxOnly: true}, wrong, true},
		{"of the program", Config{VetxOnly: true, ModulePath: "example.com"}, strings.ReplaceAll(wrong, "Get", "Got"), false},
		{"to report on", Config{ModulePath: "example.com", ModuleVersion: "v1.0.0"}, strings.ReplaceAll(wrong, "Get", "Got"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, facts := unitOf(t, c.cfg, c.source)
			var out, errs bytes.Buffer
			status := Run(cfg, []*analysis.Analyzer{lifetime.Analyzer}, &out, &errs)
			if skipped := status == 0; skipped != c.skips {
				t.Fatalf("status %d: %s", status, &errs)
			}
			if _, err := os.Stat(facts); c.skips != (err == nil) {
				t.Error(err)
			}
		})
	}
}

func TestReports(t *testing.T) {
	cfg, _ := unitOf(t, Config{ModulePath: "example.com"}, "package dep\n\n//galloc:ignore lifetime\nvar x int\n")
	var out, errs bytes.Buffer
	if status := Run(cfg, []*analysis.Analyzer{lifetime.Analyzer}, &out, &errs); status != 0 {
		t.Fatalf("status %d: %s", status, &errs)
	}
	var tree map[string]map[string][]struct{ Posn, End, Message string }
	if err := json.Unmarshal(out.Bytes(), &tree); err != nil {
		t.Fatal(err)
	}
	all := tree["example.com/dep"]["lifetime"]
	if len(all) != 1 || !strings.HasSuffix(all[0].Posn, "dep.go:3:1") || !strings.Contains(all[0].Message, "needs a reason") {
		t.Errorf("%+v", tree)
	}
}
