package procmem

import (
	"reflect"
	"strings"
	"testing"
)

const smaps = `00400000-004ab000 r-xp 00000000 fe:00 9988308                            /usr/bin/a program
Size:                684 kB
Rss:                 600 kB
VmFlags: rd ex mr mw me 
004ab000-00500000 rw-p 000ab000 fe:00 9988308                            /usr/bin/a program
Rss:                  40 kB
00500000-00520000 rw-p 00000000 00:00 0 
Rss:                  20 kB
01000000-01100000 rw-p 00000000 00:00 0                                  [heap]
Rss:                 100 kB
c000000000-c000400000 rw-p 00000000 00:00 0 
Rss:                4096 kB
c000400000-c004000000 ---p 00000000 00:00 0 
Rss:                   0 kB
c004000000-c008000000 rw-p 00000000 00:00 0                              [anon: Go: heap]
Rss:                1000 kB
c008000000-c00c000000 rw-p 00000000 00:00 0 
Rss:                 200 kB
700000000000-700000100000 rw-p 00000000 00:00 0 
Rss:                1000 kB
700010000000-700010100000 rw-p 00000000 00:00 0                          [anon: Go: metadata]
Rss:                  64 kB
710000000000-710000100000 rw-p 00000000 00:00 0 
Rss:                 800 kB
720000000000-720000100000 rw-s 00000000 00:05 17                         /dev/zero (deleted)
Rss:                  32 kB
7ffdff12e000-7ffdff14f000 rw-p 00000000 00:00 0                          [stack]
Rss:                  16 kB
`

func TestDivide(t *testing.T) {
	all, err := readSmaps(strings.NewReader(smaps))
	if err != nil {
		t.Fatal(err)
	}
	if all[1].file != "/usr/bin/a program" || all[0].rss != 600<<10 || !all[0].code || all[11].file != "/dev/zero" {
		t.Errorf("the mappings are %+v", all)
	}
	regions := []region{
		{0x700000000000, 0x700000080000, globalHeap}, // the first half of a mapping
		{0x700000080000, 0x700000100000, otherHeap},
		{0x710000000000, 0x710000100000, metadata},
	}
	for _, c := range []struct {
		name     string
		resident func(start, end uint64) (uint64, bool)
		global   uint64
	}{
		{"pages are counted", func(start, _ uint64) (uint64, bool) { return 300 << 10 << (start >> 19 & 1), true }, 300 << 10},
		{"pages are estimated", func(uint64, uint64) (uint64, bool) { return 0, false }, 500 << 10},
	} {
		var got Snapshot
		got.divide(all, regions, 0xc000000040, &counters{
			goInUse: 4 << 20, goStacks: 512 << 10, goFree: 688 << 10, goOwn: 100 << 10, live: 200 << 10, cached: 1 << 40,
		}, c.resident)
		want := Snapshot{
			Resident: 7968 << 10, GoHeapInUse: 4 << 20, GoStacks: 512 << 10, GoHeapFree: 688 << 10,
			GallocLive: 200 << 10, GallocCached: c.global - 200<<10, GallocMetadata: 800 << 10,
			GallocOther: 2 * c.global, Code: 660 << 10, MappedFiles: 32 << 10, Other: 116 << 10, GoRuntime: 64 << 10,
		}
		if c.global == 500<<10 {
			want.GallocOther = c.global
		} else {
			want.GoRuntime += 36 << 10 // of the part of the mapping that is in no region
			want.Other += 64 << 10
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the parts are\n%+v, want\n%+v", c.name, got, want)
		}
		if err := got.check(); err != nil {
			t.Error(err)
		}
	}
	var byNames Snapshot
	byNames.divideByNames(all)
	want := Snapshot{
		Resident: 7968 << 10, GoHeapInUse: 1000 << 10, GoRuntime: 64 << 10, Code: 660 << 10, MappedFiles: 32 << 10,
		Other: 116 << 10, Anonymous: 6096 << 10,
	}
	if !reflect.DeepEqual(byNames, want) {
		t.Errorf("the parts are\n%+v, want\n%+v", byNames, want)
	}
}

func TestMalformedSmaps(t *testing.T) {
	for text, want := range map[string]string{
		"Rss: 4 kB\n": "line 1: ",
		"00400000-004ab000 r-xp 0 fe:00 9 /a\nRss: many kB\n":                 "line 2: \"Rss: many kB\" is not the Rss of a mapping",
		"00400000-004ab000 r-xp 0 fe:00 9 /a\nRss: 99999999999999999999 kB\n": "line 2: ",
		"004ab000-00400000 r-xp 0 fe:00 9 /a\n":                               "line 1: \"004ab000-00400000 r-xp 0 fe:00 9 /a\": the addresses",
		"00400000 r-xp 0 fe:00 9 /a\n":                                        "the addresses",
		"00400000-004ab000\n":                                                 "there are no permissions",
		"\n":                                                                  "the addresses",
		"00400000-004ab000 r-xp 0 fe:00 9 " + strings.Repeat("a", 2<<20):      "line 1: ",
	} {
		if _, err := readSmaps(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50q: the error is %v, want %s", text, err, want)
		}
	}
}

func FuzzSmaps(f *testing.F) {
	f.Add(smaps)
	f.Add("Rss: 4 kB\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readSmaps(strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range all {
			all[i].rss &= 1<<50 - 1 // so that the sum does not overflow
		}
		var s Snapshot
		s.divide(all, []region{{0, 1 << 40, globalHeap}}, 0xc000000000, &counters{goInUse: 1 << 20, live: 1 << 20},
			func(uint64, uint64) (uint64, bool) { return 1 << 62, true })
		if err := s.check(); err != nil {
			t.Error(err)
		}
	})
}
