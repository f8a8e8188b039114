package cli

import (
	"strconv"
	"strings"
)

// Decimals returns v with n decimals, or without decimals from 1000 on. For 0, which means not
// measured, it returns "-".
func Decimals(v float64, n int) string {
	switch {
	case v == 0:
		return "-"
	case v >= 1000:
		n = 0
	}
	return strconv.FormatFloat(v, 'f', n, 64)
}

// Size returns n bytes as a number below 1000 and a unit. 1 kB is 1000 bytes.
func Size(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, units := float64(n)/1000, "kMGTPE"
	for v >= 1000 {
		v, units = v/1000, units[1:]
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " " + units[:1] + "B"
}

// Thousands returns n with a comma after every three digits.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	var groups []string
	for ; len(s) > 3; s = s[:len(s)-3] {
		groups = append([]string{s[len(s)-3:]}, groups...)
	}
	return strings.Join(append([]string{s}, groups...), ",")
}
