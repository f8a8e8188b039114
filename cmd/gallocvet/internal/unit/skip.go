package unit

import (
	"bytes"
	"os"
	"regexp"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
)

// skip reports whether a dependency cannot have facts that matter. Such facts have packages that
//
//   - are galloc's, or import galloc, directly or not,
//   - or call a function that makes or ends memory, because the table or the fact of an import
//     says so.
//
// To know the calls, it looks for the names of these functions after a dot, so it may keep a
// package that package flow finds irrelevant. Of the standard library it also skips a package that
// calls a method of the table on a value of another package, and does not import the method's
// package.
func (c *Config) skip(f *facts) bool {
	module := c.module()
	if f.Galloc || api.OwnPath(f.path) || module != nil && module.Version == "" {
		return false // of the program itself, package flow also summarizes functions that borrow
	}
	table, err := api.Of(c.Dir)
	if err != nil {
		return false
	}
	names := map[string]bool{}
	for _, s := range f.sections {
		for _, n := range s.Names {
			names[n] = true
		}
	}
	for pkg, name := range table.Pairs() {
		_, imported := c.PackageFile[pkg]
		if imported || pkg == f.path || module != nil {
			names[name] = true
		}
	}
	for _, name := range c.GoFiles {
		text, err := os.ReadFile(name)
		if err != nil || mentions(text, names) {
			return false
		}
	}
	return true
}

var dotImport = regexp.MustCompile(`(?m)^[ \t]*(import[ \t]+)?\.[ \t]*"`)

// mentions reports whether a source has one of the names after a dot, or imports into its own
// scope, or has been written by cgo.
func mentions(text []byte, names map[string]bool) bool {
	if dotImport.Match(text) || bytes.Contains(text, []byte("_Cfunc_")) {
		return true
	}
	for {
		i := bytes.IndexByte(text, '.')
		if i < 0 {
			return false
		}
		text = bytes.TrimLeft(text[i+1:], " \t\r\n")
		n := 0
		for n < len(text) && (text[n] == '_' || text[n] >= 0x80 || isLetterOrDigit(text[n])) {
			n++
		}
		if names[string(text[:n])] {
			return true
		}
		text = text[n:]
	}
}

func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
