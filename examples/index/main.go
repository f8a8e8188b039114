// Command index builds an inverted index of a text, which tells for each word the documents it is in, off the Go heap in an arena; asks
// it; and frees all of it at once. Beside it stands the same index on Go's maps and slices.
//
//	go run ./examples/index
//	go run ./examples/index -docs 200000 -words 100000 -query "some words"
//
// index.go is what there is to learn from: how the data come to be in collections, how Build copes with the lack of memory, what an arena
// is good for and what not. query.go asks, corpus.go generates the text, gomaps.go is the index to compare with, cost.go measures.
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

// run is main as a function: it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("index", flag.ContinueOnError)
	flags.SetOutput(stderr)
	docs := flags.Int("docs", 50_000, "how many `documents` the text has")
	words := flags.Int("words", 50_000, "how many `words` there are to choose from")
	seed := flags.Uint64("seed", 1, "of the generator: another `number` gives another text")
	query := flags.String("query", "", "`words` to look for (two of the more frequent ones)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *docs < 1 || *words < 2 || flags.NArg() > 0:
		fmt.Fprintln(stderr, "index: -docs is to be 1 or more, -words 2 or more, and there are no other arguments")
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

// compare builds the index of c in three ways, asks the second one, and prints what each has cost.
func compare(w io.Writer, c *corpus, query string) error {
	grown, err := inArena(func(a galloc.Allocator) (*Index, error) {
		ix := New(a)
		for text := range c.all() {
			if err := ix.Add(text); err != nil {
				return nil, err // what there is of ix goes with the arena
			}
		}
		return ix, nil
	}, func(*Index) {})
	if err != nil {
		return err
	}
	built, err := inArena(func(a galloc.Allocator) (*Index, error) { return Build(a, c.all()) }, func(ix *Index) { ask(w, ix, query) })
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	report(w, []row{{"arena, Add by Add", grown}, {"arena, Build", built}, {"Go's maps and slices", onGoHeap(c)}})

	// Running out of memory is an error as others are: there is nothing to clean up but the arena.
	arena := bump.New(nil)
	defer arena.Close()
	arena.SetLimit(uintptr(built.live / 2))
	_, err = Build(arena, c.all())
	fmt.Fprintf(w, "\nBuild in an arena of half the size: %v\n", err)
	return nil
}

// inArena builds an index in an arena of its own, uses it, and frees it.
func inArena(build func(galloc.Allocator) (*Index, error), use func(*Index)) (cost, error) {
	arena := bump.New(nil) // its chunks come from the global allocator
	defer arena.Close()    // where it is closed already, this does nothing
	a := wrap.Stats(arena) // to know how much of it is live; without that, the arena itself would do

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

	// All of the index vanishes at once: the arena gives back some ten chunks, whatever they hold. ix.Free would go from word to word.
	start = begin()
	arena.Close()
	m.free = start.end().build
	// From here on nothing may be touched that came from ix, nor ix: not a method of it, Free neither; no word that Range or Prefix has
	// produced, unless it was cloned; no iterator. They show memory that is somebody else's by now, and nobody would notice: but with
	// wrap.Debug below the arena, or GALLOC=debug, writing to it is reported. To forget ix is enough.
	return m, nil
}

// ask prints some questions and answers.
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

// withCounts returns words with their numbers of documents. They are copies: the views that come in need not live as long.
func withCounts(words iter.Seq2[string, int]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word, docs := range words {
			if !yield(fmt.Sprintf("%s (%d)", word, docs)) {
				return
			}
		}
	}
}

// printSome prints how many there are, and the first of them.
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
