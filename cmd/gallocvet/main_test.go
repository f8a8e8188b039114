package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/output"
	"github.com/galloc-go/galloc/cmd/gallocvet/rules"
	"golang.org/x/tools/go/analysis"
)

// When it is the tool of "go vet", the test binary is gallocvet.
func TestMain(m *testing.M) {
	if asTool(os.Args[1:]) {
		main()
	}
	os.Exit(m.Run())
}

// check runs gallocvet in a folder below testdata and returns its output.
func check(t *testing.T, dir string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here: ", err)
	}
	t.Chdir(dir)
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

var (
	want   = regexp.MustCompile(`// want(:\+1)?((?: +"(?:[^"\\]|\\.)*")+)`)
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// The cases are packages in testdata, which is a module, so that they use the real galloc. In
// each folder, a comment as in package analysistest expects a finding of the rule that the folder
// is named after: bad.go has the mistakes, good.go correct code that looks like them. The rules run
// as "go vet" runs them, with facts in files, which takes a tenth of the time that analysistest
// takes to check galloc and its imports from source for each rule.
func TestRules(t *testing.T) {
	all := findings(t, "testdata")
	folders, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if slices.ContainsFunc(rules.All(), func(a *analysis.Analyzer) bool { return a.Name == folder }) {
			t.Run(folder, func(t *testing.T) {
				if wants := compare(t, folder, folder, all); wants < 10 {
					t.Errorf("only %d findings are expected", wants)
				}
			})
		}
	}
	for _, a := range rules.All() {
		if !slices.Contains(folders, a.Name) {
			t.Errorf("rule %s has no cases", a.Name)
		}
	}
}

// The presets are tested on packages with the names, and a few of the functions, of the real ones.
func TestPresets(t *testing.T) {
	all := findings(t, "testdata/presets")
	for _, folder := range []string{"arrow", "cgo", "grpc", "mmap", "pool"} {
		t.Run(folder, func(t *testing.T) {
			if out, err := exec.Command("go", "env", "CGO_ENABLED").Output(); folder == "cgo" && (err != nil || string(out) != "1\n") {
				t.Skip("the packages are built without cgo: ", err)
			}
			compare(t, folder, "", all)
		})
	}
}

// findings checks all packages of a module below testdata, which have findings.
func findings(t *testing.T, dir string) []output.Finding {
	t.Helper()
	status, stdout, stderr := check(t, dir, "-format=json", "./...")
	if status != 1 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var all []output.Finding
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// compare compares the findings of a rule, or of all rules, in a folder with the comments there. It
// returns their number.
func compare(t *testing.T, folder, rule string, all []output.Finding) (wants int) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]output.Finding{}
	for _, f := range all {
		file, err := filepath.Rel(dir, f.File)
		if err != nil {
			t.Fatal(err)
		}
		file = filepath.ToSlash(file)
		if strings.HasPrefix(file, folder+"/") && (rule == "" || rule == f.Rule) {
			key := file + ":" + strconv.Itoa(f.Line)
			found[key] = append(found[key], f)
		}
	}
	err = filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".go" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for i, l := range strings.Split(string(text), "\n") {
			m := want.FindStringSubmatch(l)
			if m == nil {
				continue
			}
			line := i + 1
			if m[1] != "" {
				line++
			}
			key := fmt.Sprintf("%s:%d", filepath.ToSlash(file), line)
			for _, q := range quoted.FindAllString(m[2], -1) {
				wants++
				pattern, err := strconv.Unquote(q)
				if err != nil {
					return err
				}
				match := slices.IndexFunc(found[key], func(f output.Finding) bool {
					return regexp.MustCompile(pattern).MatchString(f.Message)
				})
				if match < 0 {
					t.Errorf("%s: no finding matches %q; there are %v", key, pattern, found[key])
					continue
				}
				found[key] = slices.Delete(found[key], match, match+1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, rest := range found {
		for _, f := range rest {
			t.Errorf("%s: not expected: %s (%s)", key, f.Message, f.Rule)
		}
	}
	return wants
}

func TestFormats(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/formats\n\ngo 1.26\n")
	write("formats.go", `package formats

import "sync"

var pool = sync.Pool{New: func() any { return new(int) }}

func f() int {
	p := pool.Get().(*int)
	pool.Put(p)
	return *p
}
`)
	const message = "memory is used after sync.Pool.Put ended it at formats.go:9"
	status, text, errs := check(t, dir, "./...")
	if want := "formats.go:10:9: " + message + " (lifetime)\n"; status != 1 || text != want {
		t.Errorf("text: status %d, %q, want %q; %s", status, text, want, errs)
	}
	status, text, errs = check(t, dir, "-format", "json", ".")
	var all []output.Finding
	if err := json.Unmarshal([]byte(text), &all); err != nil || status != 1 || len(all) != 1 || all[0].Rule != "lifetime" ||
		all[0].Line != 10 || all[0].Message != message || len(all[0].Related) != 1 || all[0].Related[0].Line != 9 {
		t.Errorf("json: status %d, %s; %s", status, text, errs)
	}
	status, text, errs = check(t, dir, "-format=sarif", ".")
	var log struct {
		Version string
		Runs    []struct {
			Results []struct {
				RuleID    string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &log); err != nil || status != 1 || log.Version != "2.1.0" ||
		len(log.Runs) != 1 || len(log.Runs[0].Results) != 1 {
		t.Fatalf("sarif: status %d, %s; %s", status, text, errs)
	}
	r := log.Runs[0].Results[0]
	if at := r.Locations[0].PhysicalLocation; r.RuleID != "lifetime" || r.Message.Text != message ||
		at.ArtifactLocation.URI != "formats.go" || at.Region.StartLine != 10 {
		t.Errorf("sarif: %+v", r)
	}
	if status, text, _ = check(t, dir, "-lifetime=false", "."); status != 0 || text != "" {
		t.Errorf("without the rule: status %d, %q", status, text)
	}
	if status, _, errs = check(t, dir, "-format=xml"); status != 2 || !strings.Contains(errs, `"xml"`) {
		t.Errorf("unknown format: status %d, %q", status, errs)
	}
	write("formats.go", "package formats\n\nvar x int = true\n")
	if status, _, errs = check(t, dir, "."); status != 2 || errs == "" {
		t.Errorf("a package that does not compile: status %d, %q", status, errs)
	}
}

// A package that does not compile does not hide the findings in others.
func TestIncomplete(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/incomplete\n\ngo 1.26\n",
		"a/a.go":  "package a\n\nvar x int = true\n",
		"b/b.go":  "package b\n\nimport \"sync\"\n\nvar p sync.Pool\n\nfunc f() {\n\tx := p.Get()\n\tp.Put(x)\n\tp.Put(x)\n}\n",
		"b/ok.go": "package b\n",
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	status, text, errs := check(t, dir, "./...")
	if status != 2 || !strings.Contains(text, "sync.Pool.Put ends memory again") || !strings.Contains(errs, "a.go:3:13") {
		t.Errorf("status %d, %q, %q", status, text, errs)
	}
}

func TestConfigurationNamesPairs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/pairs\n\ngo 1.26\n")
	write("pairs.go", `package pairs

type buffer struct{ b []byte }

//go:noinline
func get() *buffer { return &buffer{} }

func (b *buffer) done() { println(b) }

func leaks(fail bool) {
	b := get()
	if fail {
		return
	}
	b.done()
}

func used() {
	b := get()
	b.done()
	b.b = nil
}
`)
	if status, text, errs := check(t, dir, "."); status != 0 {
		t.Errorf("without a configuration: status %d, %q, %q", status, text, errs)
	}
	// The cache of go vet knows the file.
	write(".gallocvet.json", `{"pairs": [{"make": "example.com/pairs.get", "end": "example.com/pairs.buffer.done", "leak": true}]}`)
	status, text, errs := check(t, dir, ".")
	for _, want := range []string{"pairs.go:11:10: the memory of pairs.get is not freed", "pairs.go:21:4: memory is used after"} {
		if status != 1 || !strings.Contains(text, want) {
			t.Errorf("status %d, %q has no %q; %s", status, text, want, errs)
		}
	}
	write(".gallocvet.json", `{"presets": ["none"]}`)
	write("pairs.go", "package pairs\n")
	if status, _, errs := check(t, dir, "."); status != 2 || !strings.Contains(errs, `.gallocvet.json: there is no preset "none"`) {
		t.Errorf("a wrong configuration: status %d, %q", status, errs)
	}
}

// TestSuggestedFixes applies the fixes of a package and compares the result with fixes.golden.
func TestSuggestedFixes(t *testing.T) {
	status, stdout, stderr := check(t, "testdata", "-format=json", "./fixes")
	if status != 1 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var all []output.Finding
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatal(err)
	}
	var edits []output.Edit
	without := 0
	for _, f := range all {
		if len(f.Fixes) == 0 {
			without++
			continue
		}
		edits = append(edits, f.Fixes[0].Edits...)
	}
	if want := 2; without != want {
		t.Errorf("%d findings have no fix, want %d", without, want)
	}
	slices.SortStableFunc(edits, func(a, b output.Edit) int { return b.Start - a.Start })
	text, err := os.ReadFile("fixes/fixes.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		text = slices.Concat(text[:e.Start], []byte(e.New), text[e.End:])
	}
	got, err := format.Source(text)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	want, err := os.ReadFile("fixes/fixes.golden")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("after the fixes:\n%s", got)
	}
}

func TestFixChangesFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/fix\n\ngo 1.26\n")
	write("fix.go", `package fix

import (
	"bytes"
	"sync"
)

var pool = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func f() []byte {
	b := pool.Get().(*bytes.Buffer)
	defer pool.Put(b)
	return b.Bytes()
}
`)
	if _, text, errs := check(t, dir, "-fix", "-diff", "."); !strings.Contains(text, "+	return bytes.Clone(b.Bytes())") {
		t.Errorf("-diff prints %q, %q", text, errs)
	}
	_, _, errs := check(t, dir, "-fix", ".")
	text, err := os.ReadFile(filepath.Join(dir, "fix.go"))
	if err != nil || !strings.Contains(string(text), "\treturn bytes.Clone(b.Bytes())\n") {
		t.Errorf("-fix: %v, %s\n%s", err, errs, text)
	}
	if status, text, _ := check(t, dir, "."); status != 0 {
		t.Errorf("after the fix: status %d, %s", status, text)
	}
}
