package main

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/heap"
)

// The documents of an ExampleBuild, with one word twice in one of them.
var quotes = []string{
	"Memory is a resource, and memory is finite.",
	"What is freed at once need not be freed piece by piece!",
	"A resource that is finite is counted.",
}

func ExampleBuild() {
	arena := bump.New(nil)
	ix, err := Build(arena, slices.Values(quotes))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(slices.Collect(ix.Query("Is finite")), slices.Collect(ix.Query("is infinite")))
	for word, docs := range ix.Prefix("f") {
		fmt.Println(word, docs)
	}
	arena.Close() // and with it goes all of the index
	// Output:
	// [1 3] []
	// finite 2
	// freed 1
}

// model is the simplest index there is.
type model map[string]map[int]bool

func newModel(docs []string) model {
	m := model{}
	for i, text := range docs {
		m.add(i+1, text)
	}
	return m
}

func (m model) add(n int, text string) {
	for _, w := range strings.Fields(strings.Map(letters, text)) {
		if m[w] == nil {
			m[w] = map[int]bool{}
		}
		m[w][n] = true
	}
}

// letters makes what is no letter of the texts here a space, and upper case lower.
func letters(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r - 'A' + 'a'
	case 'a' <= r && r <= 'z':
		return r
	}
	return ' '
}

func (m model) query(words ...string) (docs []int) {
	for n := range m[words[0]] {
		if !slices.ContainsFunc(words[1:], func(w string) bool { return !m[w][n] }) {
			docs = append(docs, n)
		}
	}
	slices.Sort(docs)
	return docs
}

// between returns the words for which in is true, with their numbers of documents, in order.
func (m model) between(in func(w string) bool) (words []string) {
	for w, docs := range m {
		if in(w) {
			words = append(words, fmt.Sprint(w, " ", len(docs)))
		}
	}
	slices.SortFunc(words, func(x, y string) int {
		x, _, _ = strings.Cut(x, " ")
		y, _, _ = strings.Cut(y, " ")
		return strings.Compare(x, y)
	})
	return words
}

func counted(words iter.Seq2[string, int]) (all []string) {
	for w, docs := range words {
		all = append(all, fmt.Sprint(w, " ", docs))
	}
	return all
}

// difference asks ix and m about some words, and returns how they differ.
func difference(ix *Index, m model, docs int, words []string) error {
	if ix.Len() != docs {
		return fmt.Errorf("%d documents, not %d", ix.Len(), docs)
	}
	postings := 0
	for _, in := range m {
		postings += len(in)
	}
	if n := ix.Postings(); n != postings {
		return fmt.Errorf("%d postings, not %d", n, postings)
	}
	for i, x := range words {
		y, z := words[(i+1)%len(words)], words[(i+3)%len(words)]
		for _, query := range [][]string{{x}, {x, y}, {y, x, z}, {x, x}} {
			got := slices.Collect(ix.Query(strings.Join(query, ", ")))
			if want := m.query(query...); !slices.Equal(got, want) {
				return fmt.Errorf("Query(%q): %v, not %v", query, got, want)
			}
		}
		got := counted(ix.Range(x, y))
		if want := m.between(func(w string) bool { return x <= w && w < y }); !slices.Equal(got, want) {
			return fmt.Errorf("Range(%q, %q): %v, not %v", x, y, got, want)
		}
		prefix := x[:min(len(x), 1+i%3)]
		got = counted(ix.Prefix(prefix))
		if want := m.between(func(w string) bool { return strings.HasPrefix(w, prefix) }); !slices.Equal(got, want) {
			return fmt.Errorf("Prefix(%q): %v, not %v", prefix, got, want)
		}
	}
	return nil
}

// grow is Build without counting.
func grow(a galloc.Allocator, docs []string) (*Index, error) {
	ix := New(a)
	for _, text := range docs {
		if err := ix.Add(text); err != nil {
			ix.Free()
			return nil, err
		}
	}
	return ix, nil
}

func build(a galloc.Allocator, docs []string) (*Index, error) { return Build(a, slices.Values(docs)) }

func TestAnswersAreThoseOfTheModel(t *testing.T) {
	c := generate(400, 300, 7)
	docs := slices.Collect(c.all())
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"no", "zzzz"} // these are in no document
	for range 100 {
		words = append(words, c.words[r.IntN(len(c.words))])
	}
	m := newModel(docs)
	for name, make := range map[string]func(galloc.Allocator, []string) (*Index, error){"Build": build, "Add": grow} {
		t.Run(name, func(t *testing.T) {
			h, err := heap.New(heap.Options{Checked: true})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			arena := bump.New(h)
			ix, err := make(arena, docs)
			if err != nil {
				t.Fatal(err)
			}
			if err := difference(ix, m, len(docs), words); err != nil {
				t.Error(err)
			}
			for range ix.Query("") {
				t.Error("documents with no word at all")
			}
			for range ix.Query(words[2]) {
				break // which a loop may do
			}
			for range ix.Prefix("") {
				break
			}
			// An index that was built may grow.
			more := newModel(docs)
			for i := range 100 {
				more.add(len(docs)+1+i, docs[2*i]+" zzzz")
				if err := ix.Add(docs[2*i] + " zzzz"); err != nil {
					t.Fatal(err)
				}
			}
			if err := difference(ix, more, len(docs)+100, words); err != nil {
				t.Error(err)
			}
			arena.Close()
			if s := h.Stats(); s.LiveBlocks != 0 || s.Misuses != 0 {
				t.Errorf("after Close of the arena: %d blocks, %d misuses", s.LiveBlocks, s.Misuses)
			}
		})
	}
}

// Lists of all lengths of numbers: a list has the differences of successive numbers.
func TestListsOfRareWords(t *testing.T) {
	m, ix := model{}, New(nil)
	defer ix.Free()
	for n := 1; n <= 40_000; n++ {
		text := "a"
		for _, every := range []int{127, 128, 129, 16383, 16384} {
			if n%every == 0 {
				text += " " + strings.Repeat("b", every%130)
			}
		}
		m.add(n, text)
		if err := ix.Add(text); err != nil {
			t.Fatal(err)
		}
	}
	var words []string
	for w := range m {
		words = append(words, w)
	}
	if err := difference(ix, m, 40_000, words); err != nil {
		t.Error(err)
	}
}

func TestLengthsOfNumbers(t *testing.T) {
	var p [5]byte
	for lg := range 32 {
		for _, x := range []uint32{1<<lg - 1, 1 << lg, 1<<lg + 1} {
			if n, want := uvarintLen(x), putUvarint(p[:], x); n != want {
				t.Errorf("%d takes %d bytes, not %d", x, want, n)
			}
		}
	}
}

func TestEachAllocationFails(t *testing.T) {
	docs := slices.Collect(generate(12, 60, 3).all())
	m := newModel(docs)
	for name, make := range map[string]func(galloc.Allocator, []string) (*Index, error){"Build": build, "Add": grow} {
		t.Run(name, func(t *testing.T) {
			alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
				ix, err := make(a, docs)
				if err != nil {
					return err
				}
				defer ix.Free()
				return difference(ix, m, len(docs), []string{"a", "be"})
			})
		})
	}
}

// A document whose Add fails is in no list, and the index goes on: the next ones, and the same one
// once more, are added as if nothing had been.
func TestAddFailsAsAWhole(t *testing.T) {
	c := generate(4, 40, 3)
	docs := slices.Collect(c.all())
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) (first error) {
		ix, m, n := New(a), model{}, 0
		defer ix.Free()
		for range 3 { // the next one follows a failed one, and has new words
			for _, text := range docs {
				err := ix.Add(text)
				if err == nil {
					n++
					m.add(n, text)
				} else if first == nil {
					first = err
				}
				if err := difference(ix, m, n, c.words[:8]); err != nil {
					return err
				}
			}
		}
		return first
	})
}

func TestAnArenaWithALimit(t *testing.T) {
	c := generate(300, 200, 5)
	upstream := alloctest.Track(galloc.System)
	arena := bump.New(upstream)
	if _, err := Build(arena, c.all()); err != nil {
		t.Fatal(err)
	}
	needed := arena.Used()
	arena.Close()
	for limit := uintptr(1); limit < needed; limit += needed / 50 {
		arena.SetLimit(limit)
		if _, err := Build(arena, c.all()); !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Errorf("with %d bytes of %d: error %v", limit, needed, err)
		}
		if arena.Capacity() > limit {
			t.Errorf("%d bytes, and the limit is %d", arena.Capacity(), limit)
		}
		arena.Close()
		if l := upstream.Live(); len(l) > 0 {
			t.Fatalf("with %d bytes of %d, blocks are left: %v", limit, needed, l)
		}
	}
	if m := upstream.Misuses(); len(m) > 0 {
		t.Error(strings.Join(m, "\n"))
	}
}

// Build exists so that the lists do not move: they move when documents come one by one, and do not
// when they were counted.
func TestBuildLeavesLittleBehind(t *testing.T) {
	docs := slices.Collect(generate(2000, 500, 1).all())
	used := func(make func(galloc.Allocator, []string) (*Index, error)) uintptr {
		arena := bump.New(nil)
		defer arena.Close()
		ix, err := make(arena, docs)
		if err != nil {
			t.Fatal(err)
		}
		if n, room := ix.Postings(), ix.postings.Len(); n > room {
			t.Errorf("%d postings in %d bytes", n, room)
		}
		return arena.Used()
	}
	if built, grown := used(build), used(grow); grown < 2*built {
		t.Errorf("an index of %d bytes, and %d grown", built, grown)
	}
}

func TestMapsAnswerTheSame(t *testing.T) {
	c := generate(200, 100, 9)
	ix, err := Build(nil, c.all())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Free()
	mx := buildMaps(c.all())
	for i, x := range c.words {
		query := x + " " + c.words[i/2]
		if got, want := slices.Collect(mx.query(query)), slices.Collect(ix.Query(query)); !slices.Equal(got, want) {
			t.Errorf("%q: %v and %v", query, got, want)
		}
	}
	var order []string
	for w := range ix.Prefix("") {
		order = append(order, strings.Clone(w))
	}
	if !slices.Equal(mx.order, order) {
		t.Error("the words are not in the same order")
	}
}
