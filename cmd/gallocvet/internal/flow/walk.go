package flow

import (
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ssa"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Itoa returns a number in decimal digits.
func Itoa(n int) string { return itoa(n) }

// A condition is a value that is true or false, or, with the text of a constant, its equality with
// that constant.
type condition struct {
	x     ssa.Value
	equal string
}

// A State is what holds at one point of one path: which values and cells lead to the memory, and
// which conditions are known.
type State struct {
	Values map[ssa.Value]bool
	Cells  map[string]bool // see Walk.Key
	Ended  ssa.Instruction // what ended the memory, or nil
	Shared ssa.Instruction // the start of a goroutine with the memory, until a wait, or nil
	known  map[condition]bool

	made, failure ssa.Value // the values that now equal the first and the last result of Walk.Made
	failureAt     string    // the cell in which failure is stored, or ""
}

func (s *State) clone() *State {
	t := *s
	t.Values, t.Cells, t.known = maps.Clone(s.Values), maps.Clone(s.Cells), maps.Clone(s.known)
	return &t
}

// Has reports whether v leads to the memory.
func (s *State) Has(v ssa.Value) bool { return v != nil && s.Values[v] }

// A Walk follows memory along all paths of a function, as far as conditions that are tested more
// than once allow them.
type Walk struct {
	P  *Package
	Fn *ssa.Function

	// Visit is called before each instruction. It returns false to leave the path.
	Visit func(in ssa.Instruction, s *State) bool
	// Made is the call that made the memory, or that ends it unless it fails. Paths on which it has
	// failed are left.
	Made ssa.Value

	tested map[ssa.Value]int
	loads  map[string]ssa.Value // of each place the first load, which conditions refer to
	ids    map[ssa.Value]int
	seen   map[string]bool
	budget int
}

const maxVisits = 3000 // of blocks; larger functions are not followed to their end

// From follows the paths that begin after the instruction in, with the values.
func (w *Walk) From(in ssa.Instruction, s *State) {
	b := in.Block()
	w.start(b, slices.Index(b.Instrs, in)+1, s)
}

// FromEntry follows the paths from the beginning of the function.
func (w *Walk) FromEntry(s *State) { w.start(w.Fn.Blocks[0], 0, s) }

// NewState returns the State in which only the given values lead to the memory.
func NewState(values ...ssa.Value) *State {
	s := &State{Values: map[ssa.Value]bool{}, Cells: map[string]bool{}, known: map[condition]bool{}}
	for _, v := range values {
		s.Values[v] = true
	}
	return s
}

func (w *Walk) start(b *ssa.BasicBlock, i int, s *State) {
	w.seen = map[string]bool{}
	w.budget = maxVisits
	w.findLoads()
	w.results(s)
	for d := b; d.Idom() != nil; d = d.Idom() {
		if len(d.Preds) != 1 {
			continue
		}
		p := d.Preds[0]
		if f, ok := p.Instrs[len(p.Instrs)-1].(*ssa.If); ok && p.Succs[0] != p.Succs[1] {
			c, not := w.conditionOf(f.Cond)
			s.known[c] = (p.Succs[0] == d) != not
		}
	}
	w.block(b, i, s)
}

// block follows the paths from instruction i of b.
func (w *Walk) block(b *ssa.BasicBlock, i int, s *State) {
	if w.budget--; w.budget < 0 {
		return
	}
	for _, in := range b.Instrs[i:] {
		if _, ok := in.(*ssa.Phi); ok {
			continue
		}
		if !w.Visit(in, s) {
			return
		}
		w.step(in, s)
	}
	f, ok := b.Instrs[len(b.Instrs)-1].(*ssa.If)
	if !ok {
		for _, next := range b.Succs {
			w.enter(b, next, s.clone())
		}
		return
	}
	c, not := w.conditionOf(f.Cond)
	value, known := s.about(c)
	if k, ok := f.Cond.(*ssa.Const); ok && k.Value != nil {
		value, known = constant.BoolVal(k.Value), true
	}
	for side, next := range b.Succs {
		holds := (side == 0) != not
		if known && holds != value || w.failed(c, holds, s) {
			continue
		}
		t := s.clone()
		if w.tested[c.x] > 1 {
			t.known[c] = holds
		}
		w.enter(b, next, t)
	}
}

// about returns whether a condition holds, if that is known.
func (s *State) about(c condition) (holds, known bool) {
	if holds, known = s.known[c]; known || c.equal == "" {
		return holds, known
	}
	for d, holds := range s.known { // what equals one constant does not equal another
		if d.x == c.x && d.equal != "" && holds {
			return false, true
		}
	}
	return false, false
}

// failed reports whether a condition means that Made has failed, or that the memory is nil.
func (w *Walk) failed(c condition, holds bool, s *State) bool {
	made := s.made != nil && w.source(c.x) == s.made
	failure := s.failure != nil && c.x == s.failure
	if u, ok := c.x.(*ssa.UnOp); ok && u.Op == token.MUL && s.failureAt != "" {
		failure = failure || w.Key(u.X) == s.failureAt
	}
	switch c.equal {
	case "nil":
		return made && holds || failure && !holds || s.Ended == nil && s.Values[c.x] && holds
	case "": // the last result may be a bool, for success
		return failure && !holds
	}
	return false
}

// source returns the value that v is a conversion of.
func (w *Walk) source(v ssa.Value) ssa.Value {
	for {
		switch v.(type) {
		case *ssa.Convert, *ssa.ChangeType, *ssa.MakeInterface:
			if x := w.P.origin(v); x != nil {
				v = x
				continue
			}
		}
		return v
	}
}

// results sets the values that are the results of Made.
func (w *Walk) results(s *State) {
	if w.Made == nil {
		return
	}
	t, tuple := w.Made.Type().(*types.Tuple)
	if !tuple {
		s.made = w.Made
		return
	}
	for _, in := range *w.Made.Referrers() {
		if e, ok := in.(*ssa.Extract); ok && e.Index == 0 {
			s.made = e
		} else if ok && e.Index == t.Len()-1 {
			s.failure = e
		}
	}
}

// enter follows the edge from one block to the next.
func (w *Walk) enter(from, b *ssa.BasicBlock, s *State) {
	for c := range s.known {
		if in, ok := c.x.(ssa.Instruction); ok && in.Block() == b {
			delete(s.known, c)
		}
	}
	edge := slices.Index(b.Preds, from)
	values := maps.Clone(s.Values)
	for _, in := range b.Instrs {
		phi, ok := in.(*ssa.Phi)
		if !ok {
			break
		}
		v := phi.Edges[edge]
		switch {
		case s.made != nil && w.source(v) == s.made:
			s.made = phi
		case s.failure != nil && v == s.failure:
			s.failure = phi
		}
		if values[v] {
			s.Values[phi] = true
		} else {
			delete(s.Values, phi)
		}
		isTrue, isNil := condition{phi, ""}, condition{phi, "nil"}
		if k, ok := v.(*ssa.Const); ok {
			switch {
			case k.IsNil():
				s.known[isNil] = true
			case k.Value != nil && k.Value.Kind() == constant.Bool:
				s.known[isTrue] = constant.BoolVal(k.Value)
			}
		} else {
			if x, ok := s.known[condition{v, ""}]; ok {
				s.known[isTrue] = x
			}
			if x, ok := s.known[condition{v, "nil"}]; ok {
				s.known[isNil] = x
			}
		}
		for _, c := range []condition{isTrue, isNil} {
			if w.tested[c.x] == 0 {
				delete(s.known, c)
			}
		}
	}
	if len(s.Values)+len(s.Cells) == 0 {
		return
	}
	if key := w.describe(b, s); !w.seen[key] {
		w.seen[key] = true
		w.block(b, 0, s)
	}
}

// describe returns a text that two states at b share only if they are equal.
func (w *Walk) describe(b *ssa.BasicBlock, s *State) string {
	var parts []string
	for v := range s.Values {
		parts = append(parts, "v"+itoa(w.id(v)))
	}
	for c := range s.Cells {
		parts = append(parts, "c"+c)
	}
	for c, x := range s.known {
		parts = append(parts, "k"+itoa(w.id(c.x))+c.equal+strconv.FormatBool(x))
	}
	slices.Sort(parts)
	at := token.NoPos
	if s.Ended != nil {
		at = s.Ended.Pos()
	}
	for _, v := range []ssa.Value{s.made, s.failure} {
		if v != nil {
			parts = append(parts, itoa(w.id(v)))
		}
	}
	parts = append(parts, s.failureAt)
	if s.Shared != nil {
		parts = append(parts, "shared", itoa(int(s.Shared.Pos())))
	}
	return itoa(b.Index) + " " + itoa(int(at)) + " " + strings.Join(parts, " ")
}

func (w *Walk) id(v ssa.Value) int {
	if w.ids == nil {
		w.ids = map[ssa.Value]int{}
	}
	if _, ok := w.ids[v]; !ok {
		w.ids[v] = len(w.ids) + 1
	}
	return w.ids[v]
}

// conditionOf returns the condition that v is, and whether v is its negation.
func (w *Walk) conditionOf(v ssa.Value) (c condition, not bool) {
	switch x := v.(type) {
	case *ssa.UnOp:
		if x.Op == token.NOT {
			c, not = w.conditionOf(x.X)
			return c, !not
		}
	case *ssa.BinOp:
		if x.Op == token.EQL || x.Op == token.NEQ {
			a, b := x.X, x.Y
			if _, ok := a.(*ssa.Const); ok {
				a, b = b, a
			}
			if k, ok := b.(*ssa.Const); ok {
				text := "zero" // of a struct, an array or a type parameter
				if k.IsNil() {
					text = "nil"
				} else if k.Value != nil {
					text = k.Value.ExactString()
				}
				return condition{w.first(a), text}, x.Op == token.NEQ
			}
		}
	}
	return condition{w.first(v), ""}, false
}

// findLoads finds the first load of each place, and the conditions that are tested.
func (w *Walk) findLoads() {
	if w.loads != nil {
		return
	}
	w.loads, w.tested = map[string]ssa.Value{}, map[ssa.Value]int{}
	for _, b := range w.Fn.Blocks {
		for _, in := range b.Instrs {
			if u, ok := in.(*ssa.UnOp); ok && u.Op == token.MUL {
				if k := w.Key(u.X); w.loads[k] == nil {
					w.loads[k] = u
				}
			}
		}
	}
	for _, b := range w.Fn.Blocks {
		if f, ok := b.Instrs[len(b.Instrs)-1].(*ssa.If); ok {
			c, _ := w.conditionOf(f.Cond)
			w.tested[c.x]++
		}
	}
}

// first returns the first load of the place that v is loaded from, or v.
func (w *Walk) first(v ssa.Value) ssa.Value {
	if u, ok := v.(*ssa.UnOp); ok && u.Op == token.MUL {
		if f := w.loads[w.Key(u.X)]; f != nil {
			return f
		}
	}
	return v
}

// forget forgets what conditions say about the value at a place.
func (w *Walk) forget(key string, s *State) {
	if f := w.loads[key]; f != nil {
		for c := range s.known {
			if c.x == f {
				delete(s.known, c)
			}
		}
	}
}
