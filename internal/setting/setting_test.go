package setting

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// values is what the options of this test set.
type values struct {
	size  uintptr
	count uint32
	pause time.Duration
	on    bool
	side  uint8
}

func (v *values) options() []Option {
	return []Option{
		{"size", "SIZE", Size(&v.size, 1)},
		{"count", "N", Count(&v.count, 1, math.MaxUint32)},
		{"pause", "DURATION|never", Or(Duration(&v.pause, time.Millisecond), &v.pause, "never", -1)},
		{"on", "no|yes", Bool(&v.on, "no", "yes")},
		{"side", "left|right|both", Word(&v.side, 1, "left", "right", "both")},
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]values{
		"":                                  {},
		"size=1":                            {size: 1},
		"size=007B,count=7":                 {size: 7, count: 7},
		"count=4294967295":                  {count: math.MaxUint32},
		"size=3KiB,side=right":              {size: 3 << 10, side: 2},
		"pause=1m30s,size=1GiB":             {size: 1 << 30, pause: 90 * time.Second},
		"pause=never,on=yes":                {pause: -1, on: true},
		"on=no":                             {},
		"size=" + strconv.Itoa(math.MaxInt): {size: math.MaxInt},
	} {
		var v values
		if err := Parse(text, v.options()); err != nil || v != want {
			t.Errorf("%q: %+v, %v", text, v, err)
		}
	}
}

func TestParseReportsErrors(t *testing.T) {
	tooLarge := "8388608TiB" // math.MaxInt + 1
	if bits.UintSize == 32 {
		tooLarge = "2GiB"
	}
	const bytes = "write a whole number of bytes, or one with B, KiB, MiB, GiB or TiB, as in 64MiB"
	const all = "known are size=SIZE, count=N, pause=DURATION|never, on=no|yes, side=left|right|both"
	for text, want := range map[string]string{
		",":                         `option "" is unknown: ` + all,
		"size=1,":                   `option "" is unknown: ` + all,
		"=1":                        `option "" is unknown: ` + all,
		"sizes=1":                   `option "sizes" is unknown: ` + all,
		"size":                      `option "size" has no value: write it as size=SIZE`,
		"size=1,size=1":             `option "size" is given twice: write it once`,
		"size=":                     `option "size": "": ` + bytes,
		"size=1.5GiB":               bytes,
		"size=-1":                   bytes,
		"size=64MB":                 bytes,
		"size=64 MiB":               bytes,
		"size=64MiBMiB":             bytes,
		"size=MiB":                  bytes,
		"size=0":                    "too small: write 1B or more",
		"size=" + tooLarge:          "too large: write at most ",
		"size=99999999999999999999": "too large: write at most ",
		"count=0":                   `option "count": "0": write a number from 1 to 4294967295`,
		"count=4294967296":          "write a number from 1 to 4294967295",
		"count=x":                   "write a number from 1 to 4294967295",
		"pause=10":                  `option "pause": "10": write a duration from 1ms to 8760h, as in 10s, or never`,
		"pause=8761h":               "from 1ms to 8760h",
		"pause=9999999999h":         "from 1ms to 8760h",
		"pause=999us":               "write a duration",
		"pause=-1s":                 "write a duration",
		"on=1":                      "write no or yes",
		"on=y\nes":                  `"y\nes": write no or yes`,
		"side=up":                   "write left, right or both",
	} {
		var v values
		if err := Parse(text, v.options()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{"a=1": "a=1", "a\nb": `"a\nb"`, `a"b`: `"a\"b"`} {
		if got := Printable(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// FuzzParse: any text is read or refused in one printable line.
func FuzzParse(f *testing.F) {
	f.Add("size=64MiB,pause=10s")
	f.Add("side=up")
	f.Fuzz(func(t *testing.T, text string) {
		var v values
		err := Parse(text, v.options())
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not on one line: %q", err)
		}
	})
}
