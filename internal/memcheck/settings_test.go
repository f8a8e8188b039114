package memcheck_test

import (
	"math/bits"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc/internal/memcheck"
)

func TestParse(t *testing.T) {
	type options = memcheck.Options
	for text, want := range map[string]memcheck.Settings{
		"":                               {},
		"sample=5000":                    {Options: options{Sample: 5000}},
		"guard=end,guardgap=64KiB":       {Options: options{Guard: memcheck.GuardEnd, GuardGap: 64 << 10}},
		"guardspace=1GiB,guard=end":      {Options: options{Guard: memcheck.GuardEnd, GuardSpace: 1 << 30}},
		"guard=start,guardmin=8B":        {Options: options{Guard: memcheck.GuardStart, GuardMin: 8}},
		"guardmax=300,guard=either":      {Options: options{Guard: memcheck.GuardEither, GuardMax: 300}},
		"redzone=0,sample=9":             {Options: options{RedZone: -1, Sample: 9}},
		"redzone=0,guard=end":            {Options: options{RedZone: -1, Guard: memcheck.GuardEnd}},
		"quarantine=0,redzone=1":         {Options: options{RedZone: 1, Quarantine: -1}},
		"quarantine=4KiB":                {Options: options{Quarantine: 4 << 10}},
		"guard=end,guardgap=7MiB":        {Options: options{Guard: memcheck.GuardEnd, GuardGap: 7 << 20}},
		"redzone=16,quarantine=64MiB":    {Options: options{RedZone: 16, Quarantine: 64 << 20}},
		"stackdepth=0":                   {Options: options{StackDepth: -1}},
		"stackdepth=64":                  {Options: options{StackDepth: 64}},
		"guardlimit=7,sample=9":          {Options: options{GuardLimit: 7, Sample: 9}},
		"leaks=10s,check=1m30s":          {Leaks: 10 * time.Second, Check: 90 * time.Second},
		"redzone=1MiB,sample=1,leaks=1s": {Options: options{RedZone: 1 << 20, Sample: 1}, Leaks: time.Second},
	} {
		if got, err := memcheck.Parse(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	tooMuch := "1TiB"
	if bits.UintSize == 32 {
		tooMuch = "1GiB"
	}
	for text, want := range map[string]string{
		"foo=1":                         `option "foo" is unknown: known are sample=N, guard=end|start|either, `,
		"sample":                        `option "sample" has no value: write it as sample=N`,
		"sample=":                       "from 1 to 4294967295",
		"=1":                            `option "" is unknown`,
		",":                             `option "" is unknown`,
		"sample=1,":                     `option "" is unknown`,
		"sample=1,sample=2":             "given twice",
		"sample=0":                      "from 1 to 4294967295",
		"sample=-1":                     "from 1 to 4294967295",
		"sample=99999999999":            "from 1 to 4294967295",
		"guard=middle":                  "write end, start or either",
		"guardgap=1KB":                  "a whole number of bytes",
		"guardgap=1K":                   "a whole number of bytes",
		"guardgap=1Ki":                  "a whole number of bytes",
		"guardgap=iB":                   "a whole number of bytes",
		"guardgap=":                     "a whole number of bytes",
		"guardgap=-1":                   "a whole number of bytes",
		"guardgap=KiB":                  "a whole number of bytes",
		"guardgap=0,guard=end":          "too small",
		"quarantine=99999999TiB":        "too large",
		"redzone=2MiB":                  "at most 1048576 bytes",
		"leaks=10":                      "a duration",
		"leaks=-1s":                     "a duration",
		"check=0s":                      "a duration",
		"guardlimit=0":                  "from 1",
		"guardlimit=x":                  "from 1",
		"stackdepth=65":                 "from 0 to 64",
		"stackdepth=1KiB":               "from 0 to 64",
		"stackdepth=-1":                 "from 0 to 64",
		"guardgap=64KiB":                "no block is guarded: add guard or sample",
		"stackdepth=3,guardspace=1GiB":  "no block is guarded: add guard or sample",
		"guardmax=9":                    "no block is guarded: add guard or sample",
		"guardmin=9":                    "no block is guarded: add guard or sample",
		"redzone=0":                     "so that no overflow is found: write 1 or more, or add guard or sample",
		"redzone=0,quarantine=0":        "so that no overflow is found",
		"quarantine=1":                  "too small to keep a block: write 4096B or more, or 0 for none",
		"leaks=1ns":                     "a duration from 1ms to 8760h",
		"leaks=9999h":                   "a duration from 1ms to 8760h",
		"guard=end,guardgap=" + tooMuch: "leaves no room for a block in a guardspace of ",
		"sample=1,guardgap=32MiB":       "leaves no room for a block in a guardspace of ",
		"guard=end,guardspace=1MiB,guardgap=512KiB":     "guardgap 524288 leaves no room for a block in a guardspace of 1048576, so that no block is guarded: make it at most ",
		"guard=end,guardspace=1,guardmin=1MiB":          "guardmin 1048576 leaves no room for a block in a guardspace of 1048576",
		"guard=end,guardspace=1MiB,guardgap=" + tooMuch: "leaves no room",
		"guardlimit=9":                     "no block is guarded: add guard or sample",
		"guard=end,guardmin=10,guardmax=9": "guardmin is more than guardmax (10 > 9)",
	} {
		got, err := memcheck.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(got, memcheck.Settings{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sample=5000,guardgap=64KiB,leaks=10s")
	f.Add("guardgap=i")
	f.Add("quarantine=9223372036854775807B")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := memcheck.Parse(text)
		if err != nil && !reflect.DeepEqual(s, memcheck.Settings{}) {
			t.Fatalf("%+v with error %v", s, err)
		}
		if s.RedZone > 1<<20 || s.Quarantine < -1 || s.StackDepth < -1 {
			t.Fatalf("%+v", s)
		}
	})
}
