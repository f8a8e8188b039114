//go:build !linux

package procmem

// Read returns [ErrUnsupported] on this system.
func Read() (*Snapshot, error) { return nil, ErrUnsupported }

// ReadProcess returns [ErrUnsupported] on this system.
func ReadProcess(int) (*Snapshot, error) { return nil, ErrUnsupported }
