// Command arena answers requests, each with memory from an arena that is emptied afterwards: no
// block is freed on its own, and the garbage collector has nothing to do.
//
//	go run ./examples/arena
package main

import (
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

func main() {
	arena := bump.New(nil) // takes its chunks from the global allocator
	defer arena.Close()
	for _, request := range []string{"the cat and the dog", "to be or not to be"} {
		answer, err := mostFrequent(arena, request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer) // a Go string: it survives the arena's memory
		arena.Reset()       // frees all that the request allocated
	}
	fmt.Println(arena.Used(), "bytes in use")
}

// mostFrequent returns the most frequent word of a text. Its working memory comes from a.
func mostFrequent(a galloc.Allocator, text string) (string, error) {
	counts := collections.NewStringMap[int](a) // not freed here: the arena frees all
	for word := range strings.FieldsSeq(text) {
		n, _, err := counts.TryGetOrPut(word)
		if err != nil {
			return "", err
		}
		*n++
	}
	best, most := "", 0
	for word, n := range counts.All() {
		if n > most || n == most && word < best {
			best, most = word, n
		}
	}
	return strings.Clone(best), nil
}
