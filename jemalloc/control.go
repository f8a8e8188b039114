package jemalloc

import (
	"strings"
	"unsafe"
)

const unavailable = "galloc/jemalloc: this program is built without the binding: build with cgo and -tags galloc_jemalloc, with jemalloc's headers (Debian: libjemalloc-dev) installed"

// ErrUnavailable is what the functions here return that return an error, where [Available] is
// false. What returns none panics with the same message.
var ErrUnavailable error = unavailableError{}

type unavailableError struct{}

func (unavailableError) Error() string { return unavailable }

// ControlError says which control of jemalloc has failed, and why.
type ControlError struct {
	Name   string // as in jemalloc's manual, such as "stats.allocated"
	Reason string // what to make of it
	Err    error  // a syscall.Errno, as mallctl has returned it, or nil
}

// Error returns the name and the reason.
func (e *ControlError) Error() string {
	if e.Err == nil || e.Reason == e.Err.Error() {
		return "galloc/jemalloc: " + e.Name + ": " + e.Reason
	}
	return "galloc/jemalloc: " + e.Name + ": " + e.Reason + " (" + e.Err.Error() + ")"
}

// Unwrap returns the errno, for errors.Is.
func (e *ControlError) Unwrap() error { return e.Err }

// Value is the types of jemalloc's controls, which its manual names as C does:
//
//	bool       bool            unsigned   uint32
//	size_t     uintptr         uint64_t   uint64
//	ssize_t    int             uint32_t   uint32
//	int        int32           char *     string
type Value interface {
	bool | uint32 | int32 | uint64 | uintptr | int | string
}

// ReadControl returns the value of a control, as jemalloc's manual lists them ("opt.narenas",
// "arenas.page", "thread.allocated"). The error is a [*ControlError]: the name is unknown, the
// control has a value of another size than T, or none. Whether one of the same size is of the
// same type cannot be checked: reading as a string what is a number crashes. Statistics are as
// old as the last [ReadStats], or the last write to "epoch". It costs a search by name, and
// some bytes on the Go heap. Safe for concurrent use.
func ReadControl[T Value](name string) (T, error) {
	var v T
	c, err := cString(name, name)
	if err != nil {
		return v, err
	}
	if s, ok := any(&v).(*string); ok {
		*s, err = libReadString(c)
	} else {
		// SAFETY: v is of unsafe.Sizeof(v) bytes and holds no pointer, since it is not a string.
		err = libRead(c, unsafe.Pointer(&v), unsafe.Sizeof(v))
	}
	return v, controlError(name, err)
}

// WriteControl sets a control ("prof.active", "arenas.dirty_decay_ms", "background_thread").
// The error is a [*ControlError], as for ReadControl, or says that the control cannot be
// written, or not to this value. jemalloc keeps no pointer to a string. Safe for concurrent
// use.
func WriteControl[T Value](name string, value T) error {
	c, err := cString(name, name)
	if err != nil {
		return err
	}
	if s, ok := any(value).(string); ok {
		var v *byte
		if v, err = cString(name, s); err == nil {
			err = controlError(name, libWriteString(c, v))
		}
		return err
	}
	// SAFETY: as in ReadControl; mallctl does not write to it.
	return controlError(name, libWrite(c, unsafe.Pointer(&value), unsafe.Sizeof(value)))
}

// Control does what a control without a value is for ("thread.tcache.flush", "arena.0.decay").
// The error is a [*ControlError]. Safe for concurrent use.
func Control(name string) error {
	c, err := cString(name, name)
	if err != nil {
		return err
	}
	return controlError(name, libDo(c))
}

// cString returns s as C has it. name is the control that it is for.
func cString(name, s string) (*byte, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, &ControlError{Name: name, Reason: "there is a NUL in the string"}
	}
	return unsafe.SliceData(append([]byte(s), 0)), nil
}

func controlError(name string, err error) error {
	if err == nil || err == ErrUnavailable {
		return err
	}
	return &ControlError{Name: name, Reason: reasonOf(err), Err: err}
}
