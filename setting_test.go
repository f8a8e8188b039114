package galloc

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/galloc-go/galloc/internal/engine"
)

func TestSettingsSetTheOptionsOfTheHeap(t *testing.T) {
	for text, want := range map[string]heapValues{
		"":                                        {},
		"heap":                                    {},
		"heap,limit=1MiB":                         {given: true, hard: 1 << 20},
		"heap,limit=007000000B":                   {given: true, hard: 7_000_000},
		"heap,softlimit=3000KiB":                  {given: true, soft: 3000 << 10},
		"heap,limit=64MiB,softlimit=64MiB":        {given: true, hard: 64 << 20, soft: 64 << 20},
		"heap,softlimit=48MiB,limit=1GiB":         {given: true, hard: 1 << 30, soft: 48 << 20},
		"heap,decay=1ms":                          {given: true, config: engine.Config{Decay: time.Millisecond}},
		"heap,decay=1m30s,purge=lazy":             {given: true, config: engine.Config{Decay: 90 * time.Second, Lazy: true}},
		"heap,decay=never,purge=now":              {given: true, config: engine.Config{Decay: -1}},
		"heap,overcommit=on":                      {given: true, config: engine.Config{Overcommit: true}},
		"heap,hugepages=on,checked=off":           {given: true, config: engine.Config{Huge: true}},
		"heap,checked=on,hugepages=off":           {given: true, config: engine.Config{Checked: true}},
		"heap,limit=" + strconv.Itoa(math.MaxInt): {given: true, hard: math.MaxInt},
	} {
		s := choice{from: "GALLOC", text: text}
		if err := s.parse(); err != nil {
			t.Errorf("%v: %v", &s, err)
		} else if !equal(s.values, want) {
			t.Errorf("%v: %+v, want %+v", &s, s.values, want)
		}
		if (text == "") != (s.alloc == nil) {
			t.Errorf("%v: %v", &s, s.alloc)
		}
	}
}

func TestSettingsSayWhatIsWrong(t *testing.T) {
	tooLarge := "8388608TiB" // math.MaxInt + 1
	if bits.UintSize == 32 {
		tooLarge = "2GiB"
	}
	for text, says := range map[string]string{
		"foo":                             "no such allocator: known are heap (options limit=SIZE, softlimit=SIZE, decay=DURATION|never, purge=now|lazy, hugepages=off|on, overcommit=off|on, checked=off|on), debug, system",
		"Heap":                            "no such allocator",
		" heap":                           "no such allocator",
		",limit=1":                        "no such allocator",
		"system,limit=1MiB":               "system has no options: write system alone",
		"system,":                         "system has no options",
		"jemalloc":                        "import github.com/galloc-go/galloc/jemalloc, and build with cgo and -tags galloc_jemalloc",
		"mimalloc,limit=1":                "import github.com/galloc-go/galloc/mimalloc, and build with cgo and -tags galloc_mimalloc",
		"heap,":                           "there is no option after the comma",
		"heap,limit=1MiB,":                `option "" is unknown`,
		"heap,limit":                      `option "limit" has no value: write it as limit=SIZE`,
		"heap,limits=1":                   `option "limits" is unknown: known are limit=SIZE, softlimit=SIZE, `,
		"heap,=1":                         `option "" is unknown: known are `,
		"heap,limit=1MiB,limit=1MiB":      `option "limit" is given twice`,
		"heap,limit=1":                    `option "limit": "1": too small: write 1048576B or more`,
		"heap,limit=100KiB":               "too small: write 1048576B or more",
		"heap,softlimit=1023KiB":          "too small: write 1048576B or more",
		"heap,decay=1s,purge=now,decay=1": `option "decay" is given twice`,
		"heap,limit=":                     "write a whole number of bytes",
		"heap,limit=1.5GiB":               "write a whole number of bytes",
		"heap,limit=-1":                   "write a whole number of bytes",
		"heap,limit=64MB":                 "write a whole number of bytes",
		"heap,limit=64 MiB":               "write a whole number of bytes",
		"heap,limit=64MiBMiB":             "write a whole number of bytes",
		"heap,limit=MiB":                  "write a whole number of bytes",
		"heap,limit=0":                    "too small: write 1048576B or more",
		"heap,softlimit=0GiB":             "too small: write 1048576B or more",
		"heap,limit=" + tooLarge:          "too large: write at most ",
		"heap,limit=99999999999999999999": "too large: write at most ",
		"heap,softlimit=2MiB,limit=1MiB":  "softlimit exceeds limit",
		"heap,decay=10":                   `option "decay": "10": write a duration from 1ms to 8760h, as in 10s, or never`,
		"heap,decay=9999999999h":          "write a duration from 1ms to 8760h, as in 10s, or never",
		"heap,decay=0s":                   "write a duration",
		"heap,decay=-1s":                  "write a duration",
		"heap,decay=999us":                "write a duration",
		"heap,purge=later":                "write now or lazy",
		"heap,hugepages=1":                "write off or on",
		"heap,checked=true":               "write off or on",
		"heap,checked=o\nn":               `"o\nn": write off or on`,
	} {
		s := choice{from: "GALLOC", text: text}
		if err := s.parse(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q in it", &s, err, says)
		}
	}
}

func TestSettingsKnowTheLibrariesThatAreThere(t *testing.T) {
	defer func() { named_mimalloc = nil }()
	named_mimalloc = &Selection{Path: "example.com/mimalloc"}
	s := choice{text: "mimalloc"}
	if err := s.parse(); err != nil || s.named != named_mimalloc || s.alloc != nil {
		t.Errorf("%v, %+v", err, s)
	}
	s = choice{text: "mimalloc,x=1"}
	if err := s.parse(); err == nil || !strings.Contains(err.Error(), "mimalloc has no options") {
		t.Error(err)
	}
	s = choice{text: "tcmalloc"}
	if err := s.parse(); err == nil || !strings.HasSuffix(err.Error(), "system, mimalloc") {
		t.Error(err)
	}
}

// FuzzSetting: any text is read or refused in one line, and the order of options does not matter.
func FuzzSetting(f *testing.F) {
	f.Add("heap,limit=64MiB,decay=10s")
	f.Fuzz(func(t *testing.T, text string) {
		s := choice{from: "GALLOC", text: text}
		err := s.parse()
		if err != nil {
			if line := s.String() + err.Error(); strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not on one line: %q", line)
			}
		}
		fields := strings.Split(text, ",")
		slices.Reverse(fields[1:])
		r := choice{from: "GALLOC", text: strings.Join(fields, ",")}
		if again := r.parse(); (again == nil) != (err == nil) {
			t.Errorf("%v: %v; %v: %v", &s, err, &r, again)
		} else if err == nil && !equal(r.values, s.values) {
			t.Errorf("%v: %+v; %v: %+v", &s, s.values, &r, r.values)
		}
	})
}

// equal compares all but the functions, which are nil.
func equal(v, w heapValues) bool {
	return v.given == w.given && v.hard == w.hard && v.soft == w.soft && v.config.Decay == w.config.Decay && v.config.Lazy == w.config.Lazy &&
		v.config.Huge == w.config.Huge && v.config.Overcommit == w.config.Overcommit && v.config.Checked == w.config.Checked && v.config.OnMisuse == nil && v.config.Timer == nil
}
