package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/internal/pages"
)

// Slots of the magazines do not overlap, and below each is a slot that stays 0.
func TestMagazinesFit(t *testing.T) {
	owner := make([]int, numSlots)
	for c := 1; c < pages.NumClasses; c++ {
		k := &bounds[c]
		if k.roomMax < k.max || k.roomMax > roomSlots || k.max < 2 || k.max > magazineSlots || k.first < 1 ||
			int(k.first)+int(k.max) > numSlots {
			t.Errorf("class %d: %d slots from %d on", c, k.max, k.first)
			continue
		}
		for i := k.first - 1; i < k.first+k.max; i++ {
			if owner[i] != 0 {
				t.Errorf("slot %d is of class %d and of class %d", i, owner[i], c)
			}
			owner[i] = c
		}
	}
	if owner[bounds[0].first-1] != 0 {
		t.Errorf("the slot below class 0 is of class %d", owner[bounds[0].first-1])
	}
}

// The table of magazines, for readers.
func TestMagazineTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("class   size | magazine, in a room\n")
	for c := 1; c < pages.NumClasses; c++ {
		fmt.Fprintf(&b, "%5d %6d | %8d %10d\n", c, pages.Classes[c].Size, bounds[c].max, bounds[c].roomMax)
	}
	golden(t, "magazines.golden", b.String())
}
