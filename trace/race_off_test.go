//go:build !race

package trace

// Some is the whole trace: see race_on_test.go.
func Some(r *Reader) interface{ Next() (Op, error) } { return r }
