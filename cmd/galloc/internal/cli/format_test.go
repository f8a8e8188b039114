package cli

import (
	"math"
	"testing"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Size(0), "0 B"},
		{Size(999), "999 B"},
		{Size(1000), "1.00 kB"},
		{Size(4_372_654), "4.37 MB"},
		{Size(157_241_840_000), "157.24 GB"},
		{Size(math.MaxUint64), "18.45 EB"},
		{Thousands(0), "0"},
		{Thousands(999), "999"},
		{Thousands(1000), "1,000"},
		{Thousands(1_067_395), "1,067,395"},
		{Decimals(0, 1), "-"},
		{Decimals(39.84, 1), "39.8"},
		{Decimals(999.96, 2), "999.96"},
		{Decimals(5775.1, 1), "5775"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
