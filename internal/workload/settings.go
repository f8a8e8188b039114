package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of parameters. All sizes are valid in a layout on every platform.
const (
	maxSize  = 1 << 30
	maxCount = 1 << 32
	maxSlots = 1 << 24
)

// values are the values of all parameters of a run.
type values map[string]uint64

// int returns a value whose parameter fits in an int. A count may not fit on 32-bit platforms: use
// u64.
func (v values) int(key string) int { return int(v.u64(key)) }

func (v values) size(key string) uintptr { return uintptr(v.u64(key)) }

func (v values) u64(key string) uint64 {
	n, ok := v[key]
	if !ok {
		panic("workload: unknown parameter " + key)
	}
	return n
}

// parse returns the values of settings of the form "key=value".
func parse(w Workload, settings []string) (values, error) {
	params := slices.Concat(w.Params, common)
	v := values{}
	for _, p := range params {
		v[p.Name] = p.Default
	}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("workload: %q is not a setting: write key=value, with a key of %s", s, names(params))
		}
		i := slices.IndexFunc(params, func(p Param) bool { return p.Name == key })
		if i < 0 {
			return nil, fmt.Errorf("workload: %s has no parameter %q: the parameters are %s",
				w.Name, key, names(params))
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if p := params[i]; err != nil || n < p.Min || n > p.Max {
			return nil, fmt.Errorf("workload: %s: write a whole number from %d to %d", s, p.Min, p.Max)
		}
		v[key] = n
	}
	if limit, ok := v["max"]; ok && v["min"] >= limit {
		return nil, fmt.Errorf("workload: min=%d max=%d: min must be less than max", v["min"], limit)
	}
	if w.check != nil {
		if err := w.check(v); err != nil {
			return nil, fmt.Errorf("workload: %s: %w", w.Name, err)
		}
	}
	return v, nil
}

func names(params []Param) string {
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}
