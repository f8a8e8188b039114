package memcheck

import (
	"fmt"

	"github.com/galloc-go/galloc/internal/memcheck"
)

// Options are the options of a [Checker]. The zero value checks every block and aborts the program
// at the first misuse.
type Options struct {
	// OnMisuse is called for each misuse, in place of printing the report and aborting the program.
	// It is called by the goroutine that has found the misuse; several calls may run at once. It
	// may use the allocator, and may panic or fail a test. When it returns, an invalid free has had
	// no effect.
	OnMisuse func(*Report)

	// RedZone is the minimum number of bytes watched on each side of a block. 0 means 32, a
	// negative value means none, and the maximum is 1 MiB. Larger blocks get zones of an eighth of
	// their size, up to 2 KiB. The zone before a block is rounded up to a multiple of the block's
	// alignment; with alignments over 64 KiB there is none.
	RedZone int

	// Quarantine is the maximum number of bytes of freed blocks that are kept, including their
	// zones. 0 means 64 MiB, or 8 MiB on 32-bit systems; a negative value means none. The last
	// freed block that is larger is kept beside them, until the next one or until memory runs out.
	Quarantine int

	// StackDepth is the number of calls kept of each stack. 0 means 16, a negative value means
	// none, and the maximum is 64.
	StackDepth int

	// Sample n checks one allocation in n, chosen at random, and passes the others on to the
	// allocator inside. Blocks that are picked are guarded: on either side, unless Guard is set. 0
	// checks every allocation.
	Sample int

	// Guard puts each block on separate pages, next to inaccessible pages on one side, and makes
	// them inaccessible when they are freed. Each guarded block takes at least a page, and two
	// system calls. A block aligned to more than a page is not guarded. Nor are blocks in programs
	// that are built with -race or for WebAssembly; they get red zones.
	Guard Guard

	// GuardMin and GuardMax are the sizes in bytes of the smallest and the largest block to be
	// guarded. A GuardMax of 0 is no limit.
	GuardMin, GuardMax uintptr

	// GuardGap is the minimum number of inaccessible bytes between two guarded blocks. 0 means a
	// page. A larger gap finds accesses further past a block, and costs address space, and 8 bytes
	// of memory for each page.
	GuardGap uintptr

	// GuardLimit is the maximum number of allocated guarded blocks; further blocks are not guarded.
	// 0 means 16384, or 256 with Sample. On Linux before 6.13, and on other systems, each block
	// takes two or three mappings, of which Linux allows a process 65530.
	GuardLimit int

	// GuardSpace is the number of bytes of address space reserved for guarded blocks and the gaps
	// between them. 0 means 16 GiB, or 64 MiB with Sample; 16 MiB on 32-bit systems.
	GuardSpace uintptr
}

// A Guard says on which side of a guarded block the inaccessible pages are.
type Guard uint8

// The sides.
const (
	NoGuard     Guard = iota // blocks are not guarded
	GuardEnd                 // the block ends where its pages end: finds overflows
	GuardStart               // the block starts where its pages start: finds underflows
	GuardEither              // GuardEnd or GuardStart, at random
)

// internal returns o as the options of package internal/memcheck. It panics if one of them is out
// of range, or if no block could be guarded in spite of the options of guarded blocks.
func (o *Options) internal() memcheck.Options {
	limit := func(name string, value, limit int) {
		if value > limit {
			panic(fmt.Sprintf("%s: Options.%s is %d: it must be at most %d", pkg, name, value, limit))
		}
	}
	limit("RedZone", o.RedZone, 1<<20)
	limit("StackDepth", o.StackDepth, 64)
	limit("Guard", int(o.Guard), int(GuardEither))
	limit("Sample", o.Sample, 1<<31-1)
	for name, value := range map[string]int{"Sample": o.Sample, "GuardLimit": o.GuardLimit} {
		if value < 0 {
			panic(fmt.Sprintf("%s: Options.%s is %d: it must not be negative", pkg, name, value))
		}
	}
	i := memcheck.Options{
		RedZone: o.RedZone, Quarantine: o.Quarantine, StackDepth: o.StackDepth, Sample: uint32(o.Sample),
		Guard: memcheck.Guard(o.Guard), GuardMin: o.GuardMin, GuardMax: o.GuardMax, GuardGap: o.GuardGap,
		GuardLimit: o.GuardLimit, GuardSpace: o.GuardSpace,
	}
	if why := i.Flaw(); why != "" {
		panic(pkg + ": Options: " + why)
	}
	if o.OnMisuse != nil {
		i.OnMisuse = func(r *memcheck.Report) { o.OnMisuse(reportOf(r)) }
	}
	return i
}
