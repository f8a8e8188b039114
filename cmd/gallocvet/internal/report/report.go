// Package report filters the findings of a rule by the comments that ignore them.
package report

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"golang.org/x/tools/go/analysis"
)

const prefix = "//galloc:ignore"

type line struct {
	file string
	line int
}

// A Reporter reports the findings of one rule in one package.
type Reporter struct {
	pass    *analysis.Pass
	off     bool // the rule is disabled
	skip    bool // nothing is reported in tests
	ignored map[line]bool
	seen    map[string]bool
}

// New returns the Reporter of the rule that the pass runs. It reports each ignore comment of the
// rule that has no reason: such a comment ignores nothing.
func New(pass *analysis.Pass, t *api.Table) *Reporter {
	rule := pass.Analyzer.Name
	r := &Reporter{pass: pass, off: t.Disabled(rule), skip: t.SkipTests, ignored: map[line]bool{}, seen: map[string]bool{}}
	for _, f := range pass.Files {
		for _, group := range f.Comments {
			for _, c := range group.List {
				text, ok := strings.CutPrefix(c.Text, prefix)
				if !ok {
					continue
				}
				words := strings.Fields(text)
				if len(words) == 0 || words[0] != rule {
					continue
				}
				if len(words) == 1 {
					pass.Reportf(c.Pos(), "%s %s needs a reason", prefix, rule)
					continue
				}
				at := pass.Fset.Position(c.Pos())
				r.ignored[line{at.Filename, at.Line}] = true
				r.ignored[line{at.Filename, at.Line + 1}] = true
			}
		}
	}
	return r
}

// Report reports a finding, once for each position and message.
func (r *Reporter) Report(d analysis.Diagnostic) {
	at := r.pass.Fset.Position(d.Pos)
	key := fmt.Sprint(d.Pos, d.Message)
	if r.off || r.skip && strings.HasSuffix(at.Filename, "_test.go") || r.ignored[line{at.Filename, at.Line}] || r.seen[key] {
		return
	}
	r.seen[key] = true
	r.pass.Report(d)
}

// Reportf reports a finding without related places.
func (r *Reporter) Reportf(pos token.Pos, format string, args ...any) {
	r.Report(analysis.Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// File returns the file that pos is in, or nil.
func File(pass *analysis.Pass, pos token.Pos) *ast.File {
	for _, f := range pass.Files {
		if f.FileStart <= pos && pos < f.FileEnd {
			return f
		}
	}
	return nil
}

// InTest reports whether pos is in a test file.
func InTest(pass *analysis.Pass, pos token.Pos) bool {
	return strings.HasSuffix(pass.Fset.Position(pos).Filename, "_test.go")
}
