package cli

import "fmt"

// CheckMemory returns an error if what needs more than the bytes of memory that the system can
// provide now: a process that tried would be killed, or the whole machine would swap. Where this
// number is not known, which is on systems other than Linux, it returns nil.
func CheckMemory(what string, need uint64) error {
	if have, known := available(); known && need > have {
		return fmt.Errorf("%s needs %s of memory at its peak, and %s are available", what, Size(need), Size(have))
	}
	return nil
}
