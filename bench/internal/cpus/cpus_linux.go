package cpus

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Count returns the number of CPUs that this thread may run on.
func Count() (int, error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return 0, fmt.Errorf("cpus: sched_getaffinity: %w", err)
	}
	return all.Count(), nil
}

// BindProcess confines the whole process to the first n of the CPUs it may run on, and sets
// GOMAXPROCS to n.
func BindProcess(n int) error {
	set, err := first(n)
	if err != nil {
		return err
	}
	// The mask belongs to a thread, and threads that it starts inherit it. The runtime has started
	// some already, each of which may be starting another right now. So bind all threads until the
	// list has no unbound one.
	bound := map[int]bool{}
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("cpus: %w", err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || bound[tid] {
				continue
			}
			// It may have ended.
			if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
				return fmt.Errorf("cpus: sched_setaffinity: %w", err)
			}
			bound[tid], again = true, true
		}
	}
	runtime.GOMAXPROCS(n)
	return nil
}

// While calls f on a thread that is confined to the first n of the CPUs that it may run on. A
// process that f starts inherits that.
func While(n int, f func() error) error {
	set, err := first(n)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("cpus: sched_getaffinity: %w", err)
	}
	if err := unix.SchedSetaffinity(0, set); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("cpus: sched_setaffinity: %w", err)
	}
	failed := f()
	if err := unix.SchedSetaffinity(0, &before); err != nil {
		// The thread stays locked, and so ends with the goroutine: no other may run on it now.
		return fmt.Errorf("cpus: sched_setaffinity: %w", err)
	}
	runtime.UnlockOSThread()
	return failed
}

// first returns the first n of the CPUs that this thread may run on.
func first(n int) (*unix.CPUSet, error) {
	var all, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, fmt.Errorf("cpus: sched_getaffinity: %w", err)
	}
	if n < 1 || n > all.Count() {
		return nil, fmt.Errorf("cpus: %d CPUs are wanted, and there are %d: choose a number from 1 to %[2]d",
			n, all.Count())
	}
	for cpu := 0; set.Count() < n; cpu++ {
		if all.IsSet(cpu) {
			set.Set(cpu)
		}
	}
	return &set, nil
}
