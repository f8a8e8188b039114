package collections_test

import (
	"fmt"
	stdmaps "maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// sized is any collection.
type sized interface {
	Cap() int
	Len() int
	Free()
}

// MakeX and CollectX return an error and leave nothing allocated, whichever allocation fails.
func TestHashTablesAreMadeAndCollected(t *testing.T) {
	pairs := func(yield func(int, int) bool) {
		for i := range 100 {
			if !yield(i%60, i) {
				return
			}
		}
	}
	texts := func(yield func(string, string) bool) {
		// No duplicate keys: overwriting frees memory, and put would use it after a failed
		// allocation.
		for _, v := range pairs {
			if !yield(fmt.Sprint("key ", v), strings.Repeat("v", v)) {
				return
			}
		}
	}
	lengths := func(yield func(string, int) bool) {
		for k, v := range texts {
			if !yield(k, len(v)) {
				return
			}
		}
	}
	keys := func(yield func(int) bool) {
		for k := range pairs {
			if !yield(k) {
				return
			}
		}
	}
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
		m, err := collections.CollectMap(a, pairs)
		if err != nil {
			return err
		}
		defer m.Free()
		if !stdmaps.Equal(stdmaps.Collect(m.All()), stdmaps.Collect(pairs)) {
			t.Errorf("CollectMap: %v", m)
		}
		s, err := collections.CollectStringMap(a, lengths)
		if err != nil {
			return err
		}
		defer s.Free()
		if !stdmaps.Equal(stdmaps.Collect(s.All()), stdmaps.Collect(lengths)) {
			t.Errorf("CollectStringMap: %v", s)
		}
		x, err := collections.CollectTextMap(a, texts)
		if err != nil {
			return err
		}
		defer x.Free()
		if !stdmaps.Equal(stdmaps.Collect(x.All()), stdmaps.Collect(texts)) {
			t.Errorf("CollectTextMap: %v", x)
		}
		set, err := collections.CollectSet(a, keys)
		if err != nil {
			return err
		}
		defer set.Free()
		if got := slices.Sorted(set.All()); len(got) != 60 || got[59] != 59 {
			t.Errorf("CollectSet: %v", got)
		}
		return nil
	})
	for what, f := range map[string]func(a galloc.Allocator, n int) (sized, error){
		"Map": func(a galloc.Allocator, n int) (sized, error) {
			return collections.MakeMap[int, int](a, n)
		},
		"StringMap": func(a galloc.Allocator, n int) (sized, error) {
			return collections.MakeStringMap[int](a, n)
		},
		"TextMap": func(a galloc.Allocator, n int) (sized, error) {
			return collections.MakeTextMap(a, n)
		},
		"Set": func(a galloc.Allocator, n int) (sized, error) {
			return collections.MakeSet[int](a, n)
		},
		"Bytes": func(a galloc.Allocator, n int) (sized, error) {
			return collections.MakeBytes(a, n)
		},
		"Interner": func(a galloc.Allocator, n int) (sized, error) {
			return collections.MakeInterner(a, n)
		},
	} {
		alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
			c, err := f(a, 1000)
			if err != nil {
				return err
			}
			defer c.Free()
			if c.Cap() < 1000 || c.Len() != 0 {
				t.Errorf("Make%s: capacity %d, length %d", what, c.Cap(), c.Len())
			}
			return nil
		})
	}
}

// fmt prints the contents, at most 100 entries of them.
func TestHashTablesArePrinted(t *testing.T) {
	m := galloc.Must(collections.CollectMap[int, int](nil, stdmaps.All(map[int]int{7: -1})))
	s := galloc.Must(collections.CollectStringMap(nil, stdmaps.All(map[string]float64{"pi": 3.14159})))
	x := galloc.Must(collections.CollectTextMap(nil, stdmaps.All(map[string]string{"key": "value"})))
	set := galloc.Must(collections.CollectSet(nil, slices.Values([]int{255})))
	in, b := collections.NewInterner(nil), collections.NewBytes(nil)
	defer m.Free()
	defer s.Free()
	defer x.Free()
	defer set.Free()
	defer in.Free()
	defer b.Free()
	in.Intern("GET")
	in.Intern("POST")
	b.AppendString("some text")
	for _, c := range []struct {
		format string
		arg    any
		want   string
	}{
		{"%v", m, "map[7:-1]"},
		{"%+d", m, "map[+7:-1]"},
		{"%v", new(collections.Map[int, int]), "map[]"},
		{"%v", s, "map[pi:3.14159]"},
		{"%v", x, "map[key:value]"},
		{"%q", x, `map["key":"value"]`},
		{"%v", set, "[255]"},
		{"%x", set, "[ff]"},
		{"%v", in, "[GET POST]"},
		{"%q", in, `["GET" "POST"]`},
		{"%v", b, "some text"},
		{"%s", b, "some text"},
		{"%q", b, `"some text"`},
		{"%x", b, "736f6d652074657874"},
		{"%4.1v", galloc.Must(collections.NewString(nil, "")), "    "},
	} {
		if got := fmt.Sprintf(c.format, c.arg); got != c.want {
			t.Errorf("%s of %T: %q, want %q", c.format, c.arg, got, c.want)
		}
	}
	for i := range 1000 {
		m.Put(i, i)
		in.Intern(fmt.Sprint(i))
	}
	if got := fmt.Sprint(m); !strings.HasSuffix(got, " ...900 more]") || strings.Count(got, ":") != 100 {
		t.Errorf("a map of 1000 is printed as %q", got)
	}
	if got := fmt.Sprint(in); !strings.HasSuffix(got, " ...902 more]") || !strings.HasPrefix(got, "[GET POST 0 1 ") {
		t.Errorf("an Interner of 1002 is printed as %q", got)
	}
}

func TestStringsAreCompared(t *testing.T) {
	texts := []string{"", "a", "ab", "b", "\xff"}
	for i, s := range texts {
		for j, r := range texts {
			x, y := galloc.Must(collections.NewString(nil, s)), galloc.Must(collections.NewString(nil, r))
			if x.Equal(y) != (i == j) || x.Compare(y) != strings.Compare(s, r) {
				t.Errorf("%q and %q: Equal %v, Compare %d", s, r, x.Equal(y), x.Compare(y))
			}
			x.Free(nil)
			y.Free(nil)
		}
	}
}

// Strings as keys, and == on Strings, would compare addresses. They do not compile.
func TestStringsAreNotComparable(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here: ", err)
	}
	for use, want := range map[string]string{
		"var m collections.Map[collections.String, int]; _ = m.Len()":          "String does not satisfy comparable",
		"var s collections.Set[struct{ s collections.String }]; _ = s.Len()":   "does not satisfy comparable",
		"var x, y collections.String; println(x == y)":                         "useEqual cannot be compared",
		"var m collections.Map[int, collections.String]; println(m.Len() < 0)": "",
	} {
		file := filepath.Join(t.TempDir(), "main.go")
		source := "package main\n\nimport \"github.com/galloc-go/galloc/collections\"\n\nfunc main() { " + use + " }\n"
		if err := os.WriteFile(file, []byte(source), 0o666); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("go", "build", "-o", os.DevNull, file).CombinedOutput()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(string(out), want)) {
			t.Errorf("%s: %v\n%s", use, err, out)
		}
	}
}
