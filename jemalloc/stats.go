package jemalloc

// Stats holds jemalloc's statistics of the whole process, in bytes. Where the library has replaced
// malloc, they include the memory of C code.
//
//	Allocated <= Active <= Mapped, Active <= Resident    (while no other thread allocates)
type Stats struct {
	Allocated uint64 // in blocks, at their usable sizes, that are allocated or in a thread's cache
	Active    uint64 // in pages that hold such blocks
	Metadata  uint64 // of jemalloc itself
	Resident  uint64 // an upper bound of resident memory: all of the above and dirty pages
	Mapped    uint64 // in extents that are in use or may be used at once
	Retained  uint64 // address space kept for later, without memory
}

var statsNames = [6]string{
	"stats.allocated", "stats.active", "stats.metadata", "stats.resident", "stats.mapped", "stats.retained",
}

// ReadStats brings jemalloc's statistics up to date and returns them. Freed blocks that are in the
// cache of a thread still count as allocated. The error is a [*ControlError] if the library was
// built without statistics. It takes the locks of all arenas in turn, and allocates nothing. Safe
// for concurrent use.
func ReadStats() (Stats, error) {
	v, failed, err := libStats()
	if err != nil {
		name := "epoch"
		if failed >= 0 {
			name = statsNames[failed]
		}
		return Stats{}, controlError(name, err)
	}
	return Stats{Allocated: v[0], Active: v[1], Metadata: v[2], Resident: v[3], Mapped: v[4], Retained: v[5]}, nil
}

// Purge returns the memory of all free pages of all arenas to the system at once, which otherwise
// happens after a while. Blocks in the caches of threads stay there; the cache of the calling
// thread is flushed by Control("thread.tcache.flush").
func Purge() error { return Control(allArenas + "purge") }

// allArenas is the prefix of the controls for all arenas, MALLCTL_ARENAS_ALL.
const allArenas = "arena.4096."

// Version returns the version of the library that is linked in, such as "5.3.0-0-g54eaed1d", or ""
// where [Available] is false.
func Version() string {
	v, err := ReadControl[string]("version")
	if err != nil {
		return ""
	}
	return v
}

// DumpProfile writes jemalloc's heap profile to a file, which jeprof reads. The library must have
// been built with profiling (Debian's is), and started with it: the environment of the process has
// MALLOC_CONF=prof:true. If not, the error, a [*ControlError], says which condition failed.
// jemalloc samples about one block in 512 KiB of allocation.
//
// The stacks in it end where C was called: jemalloc cannot see the stacks of goroutines. So it
// shows by function what C code holds, but only sizes for Go code.
func DumpProfile(path string) error {
	const name = "prof.dump"
	built, err := ReadControl[bool]("config.prof")
	if err != nil {
		return err
	}
	if !built {
		return &ControlError{Name: name, Reason: "the library was built without profiling: build jemalloc with --enable-prof"}
	}
	if on, err := ReadControl[bool]("opt.prof"); err != nil || !on {
		return &ControlError{Name: name, Reason: "profiling is off: start the program with MALLOC_CONF=prof:true in its environment"}
	}
	err = WriteControl(name, path)
	if c, ok := err.(*ControlError); ok && c.Err != nil { // jemalloc hides the system's reason
		c.Reason = "the file " + path + " could not be written"
	}
	return err
}
