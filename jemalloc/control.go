package jemalloc

import (
	"strings"
	"unsafe"
)

const unavailable = "galloc/jemalloc: this program is built without the binding: build with cgo and -tags galloc_jemalloc, with jemalloc's headers (Debian: libjemalloc-dev) installed"

// ErrUnavailable is the error of every function here that returns an error, if [Available] is
// false. The other functions panic with the same message.
var ErrUnavailable error = unavailableError{}

type unavailableError struct{}

func (unavailableError) Error() string { return unavailable }

// ControlError names a control of jemalloc that failed, and the reason.
type ControlError struct {
	Name   string // as in jemalloc's manual, such as "stats.allocated"
	Reason string // in words
	Err    error  // the syscall.Errno that mallctl returned, or nil
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

// Value lists the types of jemalloc's controls, by the C names of its manual:
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
// control has a value of another size than T, or none. Whether one of the same size is of the same
// type cannot be checked: reading a number as a string crashes. Statistics are as old as the last
// [ReadStats], or the last write to "epoch". It costs a search by name, and some bytes on the Go
// heap. Safe for concurrent use.
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

// WriteControl sets a control ("prof.active", "arenas.dirty_decay_ms", "background_thread"). The
// error is a [*ControlError], as for ReadControl, or says that the control cannot be written, or
// not to this value. jemalloc keeps no pointer to a string. Safe for concurrent use.
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

// Control performs the action of a control without a value ("thread.tcache.flush",
// "arena.0.decay"). The error is a [*ControlError]. Safe for concurrent use.
func Control(name string) error {
	c, err := cString(name, name)
	if err != nil {
		return err
	}
	return controlError(name, libDo(c))
}

// cString returns s as a C string. name is the control, for the error.
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
