package debug_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc/internal/debug"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]debug.Settings{
		"":                                {},
		"sample=5000":                     {Options: debug.Options{Sample: 5000}},
		"guard=end,gap=64KiB,pool=1GiB":   {Options: debug.Options{Guard: debug.AtEnd, Gap: 64 << 10, Pool: 1 << 30}},
		"guard=start,guardmin=8B":         {Options: debug.Options{Guard: debug.AtStart, GuardMin: 8}},
		"guardmax=300,guard=either":       {Options: debug.Options{Guard: debug.AtEither, GuardMax: 300}},
		"redzone=0,quarantine=0,stacks=0": {Options: debug.Options{RedZone: -1, Quarantine: -1, Stacks: -1}},
		"redzone=16,quarantine=64MiB,stacks=8,guarded=7,sample=9": {Options: debug.Options{RedZone: 16, Quarantine: 64 << 20, Stacks: 8, MaxGuarded: 7, Sample: 9}},
		"stacks=64":             {Options: debug.Options{Stacks: 64}},
		"leaks=10s,check=1m30s": {Leaks: 10 * time.Second, Check: 90 * time.Second},
	} {
		if got, err := debug.Parse(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"foo=1": `"foo=1": no such option; known are sample=N`, "sample": "want option=value", "sample=": "want option=value", "=1": "want option=value",
		",": "want option=value", "sample=1,": "want option=value", "sample=1,sample=2": "given twice", "sample=0": "1 of how many", "sample=-1": "from 1 to 4294967295",
		"sample=99999999999": "from 1 to 4294967295", "guard=middle": "want end, start or either", "gap=1KB": "want bytes", "gap=1K": "want bytes", "gap=1Ki": "want bytes", "gap=iB": "want bytes",
		"gap=": "want option=value", "gap=-1": "want bytes", "gap=KiB": "want bytes", "quarantine=99999999TiB": "want bytes", "redzone=2MiB": "at most", "leaks=10": "want a time",
		"leaks=-1s": "want a time", "guarded=0": "1 or more", "guarded=x": "1 or more",
		"stacks=65": "from 0 to 64", "stacks=1KiB": "from 0 to 64", "stacks=-1": "from 0 to 64", "gap=64KiB": "no block is guarded", "stacks=3,pool=1GiB": "no block is guarded",
		"guardmax=9": "no block is guarded", "guardmin=9": "no block is guarded", "guarded=9": "no block is guarded", "guard=end,guardmin=10,guardmax=9": "more than guardmax",
	} {
		got, err := debug.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `"`) || !reflect.DeepEqual(got, debug.Settings{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sample=5000,gap=64KiB,leaks=10s")
	f.Add("gap=i")
	f.Add("quarantine=9223372036854775807B")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := debug.Parse(text)
		if err != nil && strings.Count(err.Error(), "; known are ") != 1 {
			t.Fatal(err)
		}
		if s.RedZone > 1<<20 || s.Quarantine < -1 || s.Stacks < -1 {
			t.Fatalf("%+v", s)
		}
	})
}
