// Command index builds an inverted index of a text, which has for each word the documents that
// contain it, off the Go heap in an arena; queries it; and frees all of it at once. It compares the
// index with the same one on Go's maps and slices.
//
//	go -C bench run ./index
//	go -C bench run ./index -docs 200000 -words 100000 -query "some words"
//
// Read index.go first: how collections hold the data, how Build handles running out of memory, and
// what suits an arena. query.go has the queries, corpus.go generates the text, gomaps.go is the
// index to compare with, cost.go measures.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/wrap"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without os.Exit: it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("index", flag.ContinueOnError)
	flags.SetOutput(stderr)
	docs := flags.Int("docs", 50_000, "number of `documents` of the text")
	words := flags.Int("words", 50_000, "number of `words` in the vocabulary")
	seed := flags.Uint64("seed", 1, "`number` that determines the text")
	query := flags.String("query", "", "`words` to look for (two of the more frequent ones)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *docs < 1 || *words < 2 || flags.NArg() > 0:
		fmt.Fprintln(stderr, "index: -docs must be at least 1 and -words at least 2, without other arguments")
		return 2
	}
	c := generate(*docs, *words, *seed)
	if *query == "" {
		*query = c.words[len(c.words)/1000+1] + " " + c.words[len(c.words)/1000]
	}
	fmt.Fprintf(stdout, "a text of %.1f MB: %d documents, %d words\n", float64(len(c.text))/1e6, c.len(), c.count)
	if err := compare(stdout, c, *query); err != nil {
		fmt.Fprintln(stderr, "index:", err)
		return 1
	}
	return 0
}

// compare builds the index of c in three ways, queries the second one, and prints the costs.
func compare(w io.Writer, c *corpus, query string) error {
	grown, err := inArena(func(a galloc.Allocator) (*Index, error) {
		ix := New(a)
		for text := range c.all() {
			if err := ix.Add(text); err != nil {
				return nil, err // the arena frees the incomplete ix
			}
		}
		return ix, nil
	}, func(*Index) {})
	if err != nil {
		return err
	}
	built, err := inArena(func(a galloc.Allocator) (*Index, error) { return Build(a, c.all()) },
		func(ix *Index) { ask(w, ix, query) })
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	report(w, []row{{"arena, Add by Add", grown}, {"arena, Build", built}, {"Go's maps and slices", onGoHeap(c)}})

	// Running out of memory is an ordinary error: only the arena must be closed.
	arena := bump.New(nil)
	defer arena.Close()
	arena.SetLimit(uintptr(built.live / 2))
	_, err = Build(arena, c.all())
	fmt.Fprintf(w, "\nBuild in an arena of half the size: %v\n", err)
	return nil
}

// inArena builds an index in a new arena, uses it, and frees it.
func inArena(build func(galloc.Allocator) (*Index, error), use func(*Index)) (cost, error) {
	arena := bump.New(nil) // its chunks come from the global allocator
	defer arena.Close()    // a second Close has no effect
	a := wrap.Stats(arena) // to count the live bytes; otherwise use the arena itself

	start := begin()
	ix, err := build(a)
	if err != nil {
		return cost{}, err
	}
	m := start.end()
	m.live = a.Snapshot().LiveBytes()
	m.left = int64(arena.Used()) - m.live
	m.held = int64(arena.Capacity())
	use(ix)

	// The arena frees the whole index at once: some ten chunks. ix.Free would free it word by word.
	start = begin()
	arena.Close()
	m.free = start.end().build
	// From here on, do not use ix: no method, not even Free; no word from Range or Prefix, unless
	// it was cloned; no iterator. Their memory may already have another owner. A memcheck.Checker
	// below the arena, or GALLOC=debug, reports writes to it. Just drop ix.
	return m, nil
}

// ask prints some queries and their results.
func ask(w io.Writer, ix *Index, query string) {
	fmt.Fprintf(w, "its index: %d words, %d postings\n\n", ix.Words(), ix.Postings())
	printSome(w, fmt.Sprintf("documents with %q", query), ix.Query(query))
	var words []string
	for word := range tokens(query) {
		words = append(words, string(word))
	}
	if len(words) == 0 {
		return
	}
	slices.Sort(words)
	low, high := words[0], words[len(words)-1]
	printSome(w, fmt.Sprintf("words that begin with %q", low), withCounts(ix.Prefix(low)))
	printSome(w, fmt.Sprintf("words from %q to before %q", low, high), withCounts(ix.Range(low, high)))
}

// withCounts returns copies of words with their numbers of documents.
func withCounts(words iter.Seq2[string, int]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word, docs := range words {
			if !yield(fmt.Sprintf("%s (%d)", word, docs)) {
				return
			}
		}
	}
}

// printSome prints the number of values, and the first ones.
func printSome[T any](w io.Writer, what string, all iter.Seq[T]) {
	const some = 5
	n, text := 0, ""
	for x := range all {
		if n++; n <= some {
			text += fmt.Sprintf(" %v", x)
		}
	}
	if n > some {
		text += " ..."
	}
	fmt.Fprintf(w, "%s: %d:%s\n", what, n, text)
}
