package samelayout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Poly is a number of bytes: a sum of products of symbols, each with a factor. The key of a
// product is its symbols, sorted and joined by "*"; the key of a constant is "". The symbol "p2" is
// parameter 2 of a function; "p2.size" and "p2.align" are the size and alignment of a parameter
// that is a Layout, "t0.size" and "t0.align" of type parameter 0. A symbol that begins with "#" is
// a value of the function at hand. A nil Poly is unknown.
type Poly map[string]int64

// fixed returns a constant. Zero has no key, as in a sum.
func fixed(n int64) Poly {
	if n == 0 {
		return Poly{}
	}
	return Poly{"": n}
}

func symbol(s string) Poly { return Poly{s: 1} }

func (p Poly) plus(q Poly, factor int64) Poly {
	if p == nil || q == nil {
		return nil
	}
	sum := maps.Clone(p)
	for k, n := range q {
		if sum[k] += n * factor; sum[k] == 0 {
			delete(sum, k)
		}
	}
	return sum
}

func (p Poly) times(q Poly) Poly {
	if p == nil || q == nil {
		return nil
	}
	product := Poly{}
	for k, n := range p {
		for l, m := range q {
			factors := append(strings.FieldsFunc(k, star), strings.FieldsFunc(l, star)...)
			slices.Sort(factors)
			key := strings.Join(factors, "*")
			if product[key] += n * m; product[key] == 0 {
				delete(product, key)
			}
		}
	}
	return product
}

func star(r rune) bool { return r == '*' }

// isConst returns the value of a Poly without symbols.
func (p Poly) isConst() (int64, bool) {
	if p == nil {
		return 0, false
	}
	for k, n := range p {
		if k != "" && n != 0 {
			return 0, false
		}
	}
	return p[""], true
}

// replace returns p with each symbol replaced by the result of f.
func (p Poly) replace(f func(string) Poly) Poly {
	if p == nil {
		return nil
	}
	sum := Poly{}
	for k, n := range p {
		product := fixed(n)
		for s := range strings.SplitSeq(k, "*") {
			if s != "" {
				product = product.times(f(s))
			}
		}
		if sum = sum.plus(product, 1); sum == nil {
			return nil
		}
	}
	return sum
}

// local reports whether p has symbols that mean nothing outside its function.
func (p Poly) local() bool {
	for k := range p {
		if strings.Contains(k, "#") {
			return true
		}
	}
	return p == nil
}

// A Shape is a layout. It is unknown if Size is nil.
type Shape struct{ Size, Align Poly }

func (s Shape) known() bool { return s.Size != nil && s.Align != nil }

func (s Shape) local() bool { return s.Size.local() || s.Align.local() }

func (s Shape) replace(f func(string) Poly) Shape {
	return Shape{s.Size.replace(f), s.Align.replace(f)}
}

func (s Shape) equal(t Shape) bool {
	return s.known() && t.known() && maps.Equal(s.Size, t.Size) && maps.Equal(s.Align, t.Align)
}

// String describes a layout without symbols.
func (s Shape) String() string {
	size, ok := s.Size.isConst()
	align, ok2 := s.Align.isConst()
	if !ok || !ok2 {
		return ""
	}
	return fmt.Sprintf("(size %d, alignment %d)", size, align)
}

// differ returns how two layouts differ in any case, or "".
func differ(made, end Shape) string {
	if !made.known() || !end.known() {
		return ""
	}
	if n, ok := end.Align.plus(made.Align, -1).isConst(); ok && n != 0 {
		a, known := made.Align.isConst()
		b, known2 := end.Align.isConst()
		if known && known2 {
			return fmt.Sprintf("the alignment is %d, not %d", b, a)
		}
		return "the alignment is another"
	}
	d := end.Size.plus(made.Size, -1)
	if n, ok := d.isConst(); ok {
		a, known := made.Size.isConst()
		b, known2 := end.Size.isConst()
		switch {
		case n == 0:
			return ""
		case known && known2:
			return fmt.Sprintf("the size is %d, not %d", b, a)
		case n < 0:
			return fmt.Sprintf("the size is less by %d", -n)
		default:
			return fmt.Sprintf("the size is more by %d", n)
		}
	}
	// A length of elements of another size.
	if len(d) == 1 && len(made.Size) == 1 && len(end.Size) == 1 && sameKey(made.Size, end.Size) {
		for k := range d {
			return fmt.Sprintf("an element has size %d, not %d", end.Size[k], made.Size[k])
		}
	}
	return ""
}

func sameKey(a, b Poly) bool {
	for k := range a {
		if _, ok := b[k]; !ok || k == "" {
			return false
		}
	}
	return true
}
