package unit

import (
	"cmp"
	"encoding/json"
	"go/token"
	"io"
	"os"
)

// print prints the results in the form that "go vet" reads: by package and analyzer a list, or an
// error.
func (u *unit) print(acts []*action, stdout io.Writer) error {
	type edit struct {
		Filename string `json:"filename"`
		Start    int    `json:"start"`
		End      int    `json:"end"`
		New      string `json:"new"`
	}
	type fix struct {
		Message string `json:"message"`
		Edits   []edit `json:"edits"`
	}
	type place struct {
		Posn    string `json:"posn"`
		End     string `json:"end"`
		Message string `json:"message"`
	}
	type diagnostic struct {
		Category string `json:"category,omitempty"`
		place
		Fixes   []fix   `json:"suggested_fixes,omitempty"`
		Related []place `json:"related,omitempty"`
	}
	type failure struct {
		Error string `json:"error"`
	}
	found := map[string]any{}
	for _, act := range acts {
		if act.err != nil {
			found[act.a.Name] = failure{act.err.Error()}
			continue
		}
		var all []diagnostic
		for _, d := range act.diagnostics {
			x := diagnostic{Category: d.Category, place: place{u.at(d.Pos), u.at(cmp.Or(d.End, d.Pos)), d.Message}}
			for _, f := range d.SuggestedFixes {
				y := fix{Message: f.Message}
				for _, e := range f.TextEdits {
					from, to := u.fset.Position(e.Pos), u.fset.Position(cmp.Or(e.End, e.Pos))
					y.Edits = append(y.Edits, edit{from.Filename, from.Offset, to.Offset, string(e.NewText)})
				}
				x.Fixes = append(x.Fixes, y)
			}
			for _, p := range d.Related {
				x.Related = append(x.Related, place{u.at(p.Pos), u.at(cmp.Or(p.End, p.Pos)), p.Message})
			}
			all = append(all, x)
		}
		if all != nil {
			found[act.a.Name] = all
		}
	}
	tree := map[string]any{}
	if len(found) > 0 {
		tree[u.cfg.ID] = found
	}
	text, err := json.MarshalIndent(tree, "", "\t")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if u.cfg.Stdout != "" {
		return os.WriteFile(u.cfg.Stdout, text, 0o666)
	}
	_, err = stdout.Write(text)
	return err
}

func (u *unit) at(pos token.Pos) string { return u.fset.Position(pos).String() }
