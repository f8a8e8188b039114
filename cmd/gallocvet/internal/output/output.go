// Package output prints findings as text, JSON or SARIF.
package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// A Finding is one report of a rule.
type Finding struct {
	Rule    string  `json:"rule"`
	Package string  `json:"package"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Column  int     `json:"column"`
	Message string  `json:"message"`
	Related []Place `json:"related,omitempty"`
	Fixes   []Fix   `json:"fixes,omitempty"`
}

// A Fix is a change of the source after which the finding is gone.
type Fix struct {
	Message string `json:"message"`
	Edits   []Edit `json:"edits"`
}

// An Edit replaces the bytes of a file from Start to End, which are offsets.
type Edit struct {
	File  string `json:"filename"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	New   string `json:"new"`
}

// A Place is another place that belongs to a Finding.
type Place struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// Parse reads what "go vet -json" prints with gallocvet as its tool. Findings of a file that
// belongs to several variants of a package are returned once, sorted by place. The error has the
// messages of packages that could not be checked.
func Parse(text []byte) ([]Finding, error) {
	var clean bytes.Buffer
	var failed []string
	inside := false
	var message []byte // of a package that does not compile, between the results of the others
	for l := range bytes.Lines(text) {
		switch t := string(bytes.TrimRight(l, "\r\n")); {
		case inside || t == "{" || t == "{}":
			clean.Write(l)
			inside = t == "{" || inside && t != "}"
		case t == "" || strings.HasPrefix(t, "# ") || strings.HasPrefix(t, "go: downloading "):
			// no failure
		default:
			message = append(message, l...)
		}
	}
	if message != nil {
		failed = append(failed, "gallocvet: go vet failed: "+string(bytes.TrimSpace(message)))
	}
	type diagnostic struct {
		Posn    string `json:"posn"`
		Message string `json:"message"`
		Related []struct {
			Posn    string `json:"posn"`
			Message string `json:"message"`
		} `json:"related"`
		Fixes []Fix `json:"suggested_fixes"`
	}
	var all []Finding
	seen := map[string]bool{}
	d := json.NewDecoder(&clean)
	for {
		var tree map[string]map[string]json.RawMessage
		if err := d.Decode(&tree); err == io.EOF {
			break
		} else if err != nil {
			rest, _ := io.ReadAll(io.MultiReader(d.Buffered(), &clean))
			return nil, fmt.Errorf("gallocvet: go vet failed: %s", bytes.TrimSpace(rest))
		}
		for pkg, rules := range tree {
			for rule, raw := range rules {
				var ds []diagnostic
				if err := json.Unmarshal(raw, &ds); err != nil {
					var e struct{ Error string }
					if json.Unmarshal(raw, &e) != nil {
						e.Error = string(raw)
					}
					if !slices.Contains(failed, e.Error) {
						failed = append(failed, e.Error)
					}
					continue
				}
				for _, x := range ds {
					f := Finding{Rule: rule, Package: pkg, Message: x.Message, Fixes: x.Fixes}
					f.File, f.Line, f.Column = split(x.Posn)
					for _, r := range x.Related {
						p := Place{Message: r.Message}
						p.File, p.Line, p.Column = split(r.Posn)
						f.Related = append(f.Related, p)
					}
					if key := rule + x.Posn + x.Message; !seen[key] {
						seen[key] = true
						all = append(all, f)
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Finding) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Rule+a.Message, b.Rule+b.Message)
	})
	if failed != nil {
		return all, errors.New(strings.Join(failed, "\n"))
	}
	return all, nil
}

// split splits file:line:column.
func split(posn string) (file string, line, column int) {
	rest := posn
	cut := func() int {
		i := strings.LastIndexByte(rest, ':')
		if i < 0 {
			return 0
		}
		n, err := strconv.Atoi(rest[i+1:])
		if err != nil {
			return 0
		}
		rest = rest[:i]
		return n
	}
	column = cut()
	line = cut()
	if line == 0 { // no column
		line, column = column, 0
	}
	return rest, line, column
}

// Text prints a line for each finding, with paths relative to dir.
func Text(w io.Writer, dir string, all []Finding) error {
	for _, f := range all {
		if _, err := fmt.Fprintf(w, "%s:%d:%d: %s (%s)\n", relative(dir, f.File), f.Line, f.Column, f.Message, f.Rule); err != nil {
			return err
		}
	}
	return nil
}

// JSON prints an array of the findings.
func JSON(w io.Writer, all []Finding) error {
	if all == nil {
		all = []Finding{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(all)
}

func relative(dir, file string) string {
	if r, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(r, "..") {
		return r
	}
	return file
}

type object = map[string]any

// SARIF prints a log of version 2.1.0, with paths relative to dir.
func SARIF(w io.Writer, dir string, rules []*analysis.Analyzer, all []Finding) error {
	list, results := []object{}, []object{}
	for _, a := range rules {
		list = append(list, object{"id": a.Name, "shortDescription": object{"text": a.Doc}})
	}
	location := func(file string, line, column int) object {
		region := object{"startLine": max(line, 1)}
		if column > 0 {
			region["startColumn"] = column
		}
		return object{"physicalLocation": object{
			"artifactLocation": object{"uri": filepath.ToSlash(relative(dir, file)), "uriBaseId": "%SRCROOT%"},
			"region":           region,
		}}
	}
	for _, f := range all {
		r := object{
			"ruleId":    f.Rule,
			"ruleIndex": slices.IndexFunc(rules, func(a *analysis.Analyzer) bool { return a.Name == f.Rule }),
			"level":     "warning",
			"message":   object{"text": f.Message},
			"locations": []object{location(f.File, f.Line, f.Column)},
		}
		var related []object
		for i, p := range f.Related {
			l := location(p.File, p.Line, p.Column)
			l["id"], l["message"] = i+1, object{"text": p.Message}
			related = append(related, l)
		}
		if related != nil {
			r["relatedLocations"] = related
		}
		results = append(results, r)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []object{{
			"tool":       object{"driver": object{"name": "gallocvet", "rules": list}},
			"columnKind": "utf16CodeUnits",
			"results":    results,
		}},
	})
}
