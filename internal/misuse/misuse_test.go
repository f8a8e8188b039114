package misuse_test

import (
	"testing"

	"github.com/galloc-go/galloc/internal/misuse"
)

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := misuse.Kind(0); k <= misuse.Overlap; k++ {
		if name := k.String(); name == "" || name == "unknown misuse" || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[k.String()] = true
	}
	if name := (misuse.Overlap + 1).String(); name != "unknown misuse" {
		t.Errorf("the kind after the last one is called %q", name)
	}
}
