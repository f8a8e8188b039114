package main

import (
	"iter"
	"math/bits"
	"math/rand/v2"
	"unicode"
	"unicode/utf8"
)

// A corpus is documents of some sentences each. The same arguments generate the same corpus on
// every machine.
//
// Word frequencies are as in real texts: a few words are nearly everywhere, and most are rare
// (Zipf's law). So an index has a few very long lists and very many short ones, which makes
// allocating for it hard.
type corpus struct {
	words []string // the vocabulary, from the most frequent word to the rarest
	text  string   // all documents in one string, which the garbage collector does not scan
	ends  []int    // document i is text[ends[i]:ends[i+1]]
	count int      // of words in the text
}

// generate returns a corpus with a vocabulary of the given number of words; some may not occur.
func generate(docs, words int, seed uint64) *corpus {
	r := rand.New(rand.NewPCG(seed, 0))
	c := &corpus{words: vocabulary(r, words), ends: []int{0}}
	zipf := rand.NewZipf(r, 1.1, 3, uint64(words-1))
	var text []byte
	for range docs {
		for range 3 + r.IntN(10) { // sentences
			for i, n := 0, 4+r.IntN(12); i < n; i++ {
				word := c.words[zipf.Uint64()]
				if i == 0 {
					text = append(text, word[0]-'a'+'A')
					word = word[1:]
				}
				text = append(text, word...)
				text = append(text, between(r, i == n-1)...)
				c.count++
			}
		}
		c.ends = append(c.ends, len(text))
	}
	c.text = string(text)
	return c
}

// between returns the separator after a word.
func between(r *rand.Rand, last bool) string {
	switch {
	case last:
		return ". "
	case r.IntN(10) == 0:
		return ", "
	}
	return " "
}

// vocabulary returns n different words of syllables; rarer words are longer.
func vocabulary(r *rand.Rand, n int) []string {
	const consonants, vowels = "bdfghjklmnprstvz", "aeiou"
	words := make([]string, 0, n)
	seen := map[string]bool{}
	var word []byte
	for len(words) < n {
		word = word[:0]
		for range 1 + bits.Len(uint(len(words)))/4 + r.IntN(2) {
			word = append(word, consonants[r.IntN(len(consonants))], vowels[r.IntN(len(vowels))])
		}
		if w := string(word); !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	return words
}

// len returns the number of documents.
func (c *corpus) len() int { return len(c.ends) - 1 }

// document returns the text of a document.
func (c *corpus) document(i int) string { return c.text[c.ends[i]:c.ends[i+1]] }

// all returns the texts of all documents, in order.
func (c *corpus) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range c.len() {
			if !yield(c.document(i)) {
				return
			}
		}
	}
}

// tokens returns the words of a text: runs of letters and digits, in lower case. A word is valid
// until the next one.
func tokens(text string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		word := make([]byte, 0, 64)
		for _, r := range text {
			switch {
			case unicode.IsLetter(r) || unicode.IsDigit(r):
				word = utf8.AppendRune(word, unicode.ToLower(r))
			case len(word) > 0:
				if !yield(word) {
					return
				}
				word = word[:0]
			}
		}
		if len(word) > 0 {
			yield(word)
		}
	}
}
