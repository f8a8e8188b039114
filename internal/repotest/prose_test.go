package repotest

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxWidth is the number of columns of comments and prose; a tab has 4.
const maxWidth = 100

func width(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
}

// maxFormatted is the number of columns of code and tables in comments, which cannot be wrapped.
const maxFormatted = 120

func TestCommentsAreNotWide(t *testing.T) {
	for _, f := range goFiles(t) {
		lines := strings.Split(string(f.text), "\n")
		for _, g := range f.syntax.Comments {
			if strings.HasPrefix(g.Text(), "Output:") || strings.HasPrefix(g.Text(), "Unordered output:") {
				continue // the output of an example is as it is
			}
			from, to := f.set.Position(g.Pos()).Line, f.set.Position(g.End()).Line
			for n := from; n <= to; n++ {
				line, limit := lines[n-1], maxWidth
				comment := strings.TrimSpace(line)
				after := strings.HasPrefix(g.List[0].Text, "//") // a comment after code on its line
				switch {
				case !after && !strings.HasPrefix(comment, "//") || strings.HasPrefix(comment, "//go:"):
					continue // code has another limit, and a directive is one line
				case strings.HasPrefix(comment, "//\t"):
					limit = maxFormatted
				}
				if width(line) > limit {
					t.Errorf("%s:%d: %d columns: the limit is %d", f.path, n, width(line), limit)
				}
			}
		}
	}
}

// TestOtherCommentsAreNotWide is for scripts and for files in C, assembly, Rust, JavaScript, CSS
// and YAML.
func TestOtherCommentsAreNotWide(t *testing.T) {
	needSource(t)
	hash, slash := regexp.MustCompile(`^\s*# \S`), regexp.MustCompile(`^\s*(//|/?\*) \S`)
	seen := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == ".git" {
				return fs.SkipDir
			}
			return err
		}
		var comment *regexp.Regexp
		switch path.Ext(p) {
		case ".c", ".h", ".s", ".rs", ".js", ".css":
			comment = slash
		case ".sh", ".yml":
			comment = hash
		default:
			if path.Base(p) != "Makefile" && path.Dir(p) != ".ci" {
				return nil
			}
			comment = hash
		}
		seen++
		text, err := fs.ReadFile(os.DirFS(root), p)
		for i, line := range strings.Split(string(text), "\n") {
			if comment.MatchString(line) && width(line) > maxWidth {
				t.Errorf("%s:%d: %d columns: the limit is %d", p, i+1, width(line), maxWidth)
			}
		}
		return err
	})
	if err != nil || seen < 20 {
		t.Fatalf("%d files: %v", seen, err)
	}
}

// markdown returns the documents of the repository by their paths.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	needSource(t)
	tree, all := os.DirFS(root), map[string]string{}
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case path.Ext(p) == ".md":
			text, err := fs.ReadFile(tree, p)
			all[p] = string(text)
			return err
		}
		return nil
	})
	if err != nil || len(all) < 5 {
		t.Fatalf("%d documents: %v", len(all), err)
	}
	return all
}

func TestProseIsNotWide(t *testing.T) {
	for p, text := range markdown(t) {
		code := false
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			// Code and tables keep their lines, and a long word cannot be broken.
			if code || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "|") || width(line) <= maxWidth {
				continue
			}
			if words := strings.Fields(line); len(words) > 2 {
				t.Errorf("%s:%d: %d columns: the limit is %d", p, i+1, width(line), maxWidth)
			}
		}
	}
}

// A phrase is an expression that docs/STYLE.md advises against. max is twice the rate, per 10,000
// words, at which the comments of Go's runtime, log/slog, io/fs, slices, maps and sync have it.
type phrase struct {
	name string
	re   *regexp.Regexp
	max  float64
}

var phrases = []phrase{
	{"that of, those that", regexp.MustCompile(`\b[Tt](hat of|hose of|hat which|hose that|hose which)\b`), 0.4},
	{"behind", regexp.MustCompile(`\b[Bb]ehind\b`), 2.2},
	{"tell, told", regexp.MustCompile(`\b([Tt]ells?|told)\b`), 1.8},
	{"give", regexp.MustCompile(`\b[Gg]ives?\b`), 4.8},
	{"a clause with What as the subject", regexp.MustCompile(`(^|[.:;] |\n\n)(What|Whatever|Whoever) [^.?]*[.]`), 0.4},
	{"of its own", regexp.MustCompile(`\bof (its|their|one's|his) own\b`), 0.2},
	{"meanwhile", regexp.MustCompile(`\b[Mm]eanwhile\b`), 0.4},
	{"anew, lest", regexp.MustCompile(`\b([Aa]new|[Ll]est)\b`), 0},
	{"that is to be", regexp.MustCompile(`\bthat is to be\b`), 0},
	{"is to be", regexp.MustCompile(`\b(is|are|was|were) (not )?to be\b`), 1.0},
	{"looked after", regexp.MustCompile(`\b(looks?|looked|looking) after\b`), 0},
	{"so many", regexp.MustCompile(`\b[Ss]o (many|much)\b`), 0.2},
	{"who without a noun", regexp.MustCompile(`\b(for|by|of|with|from) who(ever)?\b|\bWho (has|have|had|is|can|does|owns|calls|wants|holds|knows)\b[^?]*\.`), 0.2},
	{"be had", regexp.MustCompile(`\bbe had\b`), 0},
	{"as far as", regexp.MustCompile(`\b[Aa]s far as\b`), 0.2},
}

// TestPhrases counts the phrases in the comments of all Go files and in the documents. Together
// they have more than ten thousand words, so a rate is a number of some weight.
func TestPhrases(t *testing.T) {
	words := 0
	found := make([][]string, len(phrases)) // places
	check := func(place, text string) {
		words += len(strings.Fields(text))
		for i, p := range phrases {
			for range p.re.FindAllString(text, -1) {
				found[i] = append(found[i], place)
			}
		}
	}
	for _, f := range goFiles(t) {
		if strings.HasPrefix(string(f.text), "// Code generated ") {
			continue
		}
		for _, g := range f.syntax.Comments {
			check(f.set.Position(g.Pos()).String(), g.Text())
		}
	}
	for p, text := range markdown(t) {
		if p == "docs/STYLE.md" {
			continue // it lists the phrases
		}
		prose, code := "", false
		for line := range strings.Lines(text) {
			switch {
			case strings.HasPrefix(strings.TrimSpace(line), "```"):
				code = !code
			case !code && !strings.HasPrefix(line, "    "):
				prose += line
			}
		}
		check(p, prose)
	}
	if words < 10_000 {
		t.Fatalf("only %d words", words)
	}
	for i, p := range phrases {
		rate := float64(len(found[i])) * 10_000 / float64(words)
		t.Logf("%-36s %3d times, %.1f in 10,000 words", p.name, len(found[i]), rate)
		if rate > p.max {
			t.Errorf("%q: %.1f in 10,000 words, more than %.1f; see docs/STYLE.md:\n\t%s",
				p.name, rate, p.max, strings.Join(found[i], "\n\t"))
		}
	}
}

func TestPhrasesAreFound(t *testing.T) {
	for text, name := range map[string]string{
		"What is left over goes back.":            "a clause with What as the subject",
		"It is kept. Whoever holds it frees it.":  "a clause with What as the subject",
		"It is for who owns the cache.":           "who without a noun",
		"the length is that of the block":         "that of, those that",
		"no more than so many bytes":              "so many",
		"if memory is not to be had":              "be had",
		"it begins anew":                          "anew, lest",
		"the block that is to be freed":           "that is to be",
		"each block is looked after":              "looked after",
		"a heap of its own":                       "of its own",
		"which is to be called first":             "is to be",
		"a bit behind the block":                  "behind",
		"String tells the name and gives nothing": "tell, told",
	} {
		ok := false
		for _, p := range phrases {
			ok = ok || p.name == name && p.re.MatchString(text)
		}
		if !ok {
			t.Errorf("%q is not found in %q", name, text)
		}
	}
	for _, text := range []string{"What is it?", "those bytes", "at most n"} {
		for _, p := range phrases {
			if p.re.MatchString(text) {
				t.Errorf("%q is found in %q", p.name, text)
			}
		}
	}
}
