package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/galloc-go/galloc/cache"
)

func ExampleNewText() {
	c, err := cache.NewText(cache.Options{MaxBytes: 64 << 20, TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Set("colour", []byte("blue")); err != nil {
		log.Print(err) // the cache works without the entry
	}
	buf := make([]byte, 0, 100)
	v, ok := c.Get(buf, "colour")
	fmt.Printf("%s %v\n", v, ok)
	s := c.Stats()
	fmt.Println(s.Entries, s.Footprint <= s.Limit)
	// Output:
	// blue true
	// 1 true
}

func ExampleNew() {
	type place struct{ x, y int32 }
	c, err := cache.New(cache.OptionsOf[place, float64]{
		MaxBytes:   4 << 20,
		MaxEntries: 2,
		OnRemove:   func(p place, v float64, why cache.Reason) { fmt.Println(p, v, why) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for i := range int32(3) {
		if err := c.Set(place{i, i}, float64(i)/2); err != nil {
			log.Print(err)
		}
	}
	v, ok := c.Get(place{2, 2})
	fmt.Println(v, ok)
	// Output:
	// {0 0} 0 Evicted
	// 1 true
}

func ExampleText_GetOrLoad() {
	c, err := cache.NewText(cache.Options{MaxBytes: 4 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	load := func(_ context.Context, key string) ([]byte, error) {
		fmt.Println("loading", key)
		return []byte("the page " + key), nil
	}
	for range 2 {
		v, err := c.GetOrLoad(context.Background(), nil, "/index", load)
		fmt.Printf("%s %v\n", v, err)
	}
	// Output:
	// loading /index
	// the page /index <nil>
	// the page /index <nil>
}

func ExampleText_View() {
	c, err := cache.NewText(cache.Options{MaxBytes: 4 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Set("k", make([]byte, 1000)); err != nil {
		log.Print(err)
	}
	ok := c.View("k", func(value []byte) { fmt.Println(len(value)) })
	fmt.Println(ok)
	// Output:
	// 1000
	// true
}

func ExampleText_Update() {
	c, err := cache.NewText(cache.Options{MaxBytes: 4 << 20, TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, user := range []string{"ann", "bob", "ann"} {
		err := c.Update(user, func(old []byte, ok bool) ([]byte, cache.Change) {
			n, _ := strconv.Atoi(string(old))
			return strconv.AppendInt(nil, int64(n+1), 10), cache.Store
		})
		if err != nil {
			log.Print(err)
		}
	}
	_, counts := c.GetMany(nil, nil, []string{"ann", "bob", "eve"})
	fmt.Printf("%s %s %v\n", counts[0], counts[1], counts[2] == nil)
	// Output: 2 1 true
}

func ExampleCache_CompareAndSwap() {
	type state struct{ owner, generation int32 }
	c, err := cache.New(cache.OptionsOf[uint64, state]{MaxBytes: 4 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Set(7, state{owner: 1}); err != nil {
		log.Print(err)
	}
	for range 2 {
		swapped, err := c.CompareAndSwap(7, state{owner: 1}, state{owner: 2, generation: 1})
		fmt.Println(swapped, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleText_SaveTo() {
	o := cache.Options{MaxBytes: 4 << 20}
	before, err := cache.NewText(o)
	if err != nil {
		log.Fatal(err)
	}
	defer before.Close()
	if err := before.SetWithTTL("colour", []byte("blue"), time.Hour); err != nil {
		log.Print(err)
	}
	var file bytes.Buffer // as a rule an os.File
	if _, err := before.SaveTo(&file); err != nil {
		log.Print(err)
	}

	after, err := cache.NewText(o)
	if err != nil {
		log.Fatal(err)
	}
	defer after.Close()
	n, err := after.LoadFrom(bytes.NewReader(file.Bytes()))
	fmt.Println(n, err, after.Has("colour"))

	_, err = after.LoadFrom(bytes.NewReader(file.Bytes()[:40]))
	fmt.Println(errors.Is(err, cache.ErrDamaged), err)
	// Output:
	// 1 <nil> true
	// true galloc/cache: the save is damaged: byte 40: it ends too early: unexpected EOF
}
