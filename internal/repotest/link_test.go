package repotest

import (
	"go/ast"
	"os"
	"path"
	"strings"
	"testing"
)

// What the program of .ci/link does not use is not linked, and what is not linked is not checked.
func TestTheLinkedProgramUsesEveryPackage(t *testing.T) {
	needSource(t)
	const program = "internal/repotest/link"
	text, err := os.ReadFile(root + "/" + program + "/main.go")
	if err != nil {
		t.Fatal(err)
	}
	uses := func(s string) bool { return strings.Contains(string(text), s) }
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		dir := f.dir()
		top, _, _ := strings.Cut(dir, "/")
		switch {
		case f.module != "" || f.isTest() || f.syntax.Name.Name == "main":
			continue
		case top == "internal" || top == "docs" || top == "examples" || top == "testdata":
			continue
		case top == "global" && dir != "global/stats": // two do not link together
			continue
		}
		imported := strings.TrimSuffix(module+"/"+dir, "/")
		if !seen[dir] && !uses("\""+imported+"\"") {
			t.Errorf("%s does not import %s", program, imported)
		}
		seen[dir] = true
		for _, d := range f.syntax.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.IsExported() && dir != "capi" {
				if name := path.Base(imported) + "." + d.Name.Name; !uses(name) {
					t.Errorf("%s does not use %s", program, name)
				}
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d packages were seen", len(seen))
	}
}
