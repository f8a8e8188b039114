// Package trace reads and writes traces: sequences of allocation calls of a program. The function
// Trace of package wrap records them, the command "galloc replay" runs them.
//
// # Terminology
//
//   - An event is one call of the malloc family. The calls of all threads are in one order, in
//     which they were observed. [Op] holds one event.
//   - An object is a block of memory, from the event that allocates it until the free or realloc
//     that ends it. A realloc ends one object and begins another, whether or not the block moves.
//     Objects are numbered 1, 2, 3, … in the order in which they begin; 0 means no object.
//   - A thread is the caller of an event. Threads are numbered 0, 1, 2, … in the order of their
//     first event.
//
// A trace names objects by number, never by address, so it can be replayed against any allocator.
//
// # Format
//
// A trace is text, often inside gzip. The first line is "# malloctrace 1". Then comes one event per
// line; a line that begins with # is a comment. Every line ends in one line feed. Fields are
// separated by one space; numbers are decimal, unsigned, without leading zeros, and fit in 64 bits.
// So each sequence of events has exactly one spelling.
//
//	m THREAD ID SIZE        malloc of SIZE bytes returned object ID
//	c THREAD ID SIZE        calloc: SIZE is the product, the memory reads zero
//	a THREAD ID SIZE ALIGN  aligned allocation: ALIGN is a power of two
//	r THREAD OLD ID SIZE    realloc of OLD (0: none) returned object ID; OLD has ended
//	f THREAD ID             free
//
// SIZE can be 0: malloc(0) returns an object that lives and is freed like any other. Objects that
// are never freed are alive at the end, as in a program that exits without freeing them, or in a
// trace that was cut.
//
// [Reader] and [Writer] refuse a trace that no program can have produced: an object freed twice,
// numbers out of order, a size that cannot be allocated. So a replayer can run what a Reader
// accepts without further checks. The largest object must be addressable, so a trace of a 64-bit
// program may be refused where int has 32 bits.
//
// # Costs
//
// Reading and writing stream: a buffer of 64 KiB, one bit for each object, no allocation per event.
// Text is read and written at some 30 million events a second, gzip is read at some 12 million.
//
// # Limits
//
// A trace knows the order of the calls and nothing else: not the time between them, not what was
// read or written in the memory, not which calls failed.
package trace

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// header is the first line of every trace. headerName is the part of it that other versions of the
// format have too.
const (
	headerName = "# malloctrace"
	header     = headerName + " 1"
)

const (
	// maxLine is the greatest length of a line in bytes, its line feed included. Only comments are
	// so long.
	maxLine = 64 << 10
	// maxEvent is the greatest length of an event: a letter, four numbers of at most 20 digits with
	// a space in front, a line feed.
	maxEvent = 1 + 4*(1+20) + 1
)

// Kind is the kind of an event. Its value is the letter of the call in a trace.
type Kind uint8

// The kinds of event.
const (
	Malloc  Kind = 'm' // malloc, and every call like it
	Calloc  Kind = 'c' // calloc: the memory must read zero
	Aligned Kind = 'a' // posix_memalign, aligned_alloc, memalign
	Realloc Kind = 'r' // realloc, also of no object
	Free    Kind = 'f' // free
)

// String returns the name of the call, such as "malloc".
func (k Kind) String() string {
	switch k {
	case Malloc:
		return "malloc"
	case Calloc:
		return "calloc"
	case Aligned:
		return "aligned"
	case Realloc:
		return "realloc"
	case Free:
		return "free"
	}
	return "Kind(" + strconv.QuoteRune(rune(k)) + ")"
}

// form returns how a line of this kind is spelt, or "" if there is no such kind.
func (k Kind) form() string {
	switch k {
	case Malloc:
		return "m THREAD ID SIZE"
	case Calloc:
		return "c THREAD ID SIZE"
	case Aligned:
		return "a THREAD ID SIZE ALIGN"
	case Realloc:
		return "r THREAD OLD ID SIZE"
	case Free:
		return "f THREAD ID"
	}
	return ""
}

// Op is one event. Fields that its kind does not use are zero.
type Op struct {
	Kind   Kind
	Thread int    // numbered from 0 in order of first appearance
	ID     uint64 // the object that the event begins; for Free the object that it ends
	Old    uint64 // Realloc: the object that it ends, 0 for none
	Size   uint64 // in bytes; 0 is legal
	Align  uint64 // in bytes, Aligned only: a power of two
}

// String returns the line of o without its line feed, such as "m 0 1 24".
func (o Op) String() string {
	b, err := o.AppendText(nil)
	if err != nil {
		return "invalid event: " + err.Error()
	}
	return string(b)
}

// AppendText appends the line of o, without its line feed, to b. If the kind is unknown, it returns
// b unchanged and an error; it does not check whether the event is possible. It allocates only to
// enlarge b.
func (o Op) AppendText(b []byte) ([]byte, error) {
	if o.Kind.form() == "" {
		return b, unknownKind(string(rune(o.Kind)))
	}
	b = append(b, byte(o.Kind), ' ')
	b = strconv.AppendInt(b, int64(o.Thread), 10)
	if o.Kind == Realloc {
		b = append(b, ' ')
		b = strconv.AppendUint(b, o.Old, 10)
	}
	b = append(b, ' ')
	b = strconv.AppendUint(b, o.ID, 10)
	if o.Kind != Free {
		b = append(b, ' ')
		b = strconv.AppendUint(b, o.Size, 10)
	}
	if o.Kind == Aligned {
		b = append(b, ' ')
		b = strconv.AppendUint(b, o.Align, 10)
	}
	return b, nil
}

// Layout returns the size and the alignment, in bytes, of the block that a replay of o allocates.
// An Aligned has its own alignment. The other kinds have the alignment that a C program may expect
// of malloc: 16 (the alignment of max_align_t), but 8 for a block of less than 16 bytes, because an
// object that needs 16 does not fit in it and fast allocators make use of that.
//
// For a Realloc the result holds if there is no old object; otherwise the block keeps the alignment
// of the old one, which is not part of the event. A Free allocates nothing: size 0, alignment 1.
func (o Op) Layout() (size, align uint64) {
	switch {
	case o.Kind == Free:
		return 0, 1
	case o.Kind == Aligned:
		return o.Size, o.Align
	case o.Size < 16:
		return o.Size, 8
	}
	return o.Size, 16
}

// Source is a sequence of events. Next returns the next one, and [io.EOF] after the last. [Reader]
// and [File] are Sources.
type Source interface {
	Next() (Op, error)
}

// Checker decides whether an event can follow the events before it. It is the one definition of a
// possible trace: [Reader] and [Writer] use it too. The zero value is a Checker that has seen no
// event.
//
// Its memory is one bit per object. Object numbers rise by exactly 1, so a damaged number cannot
// demand a huge bitmap.
type Checker struct {
	born    uint64   // objects so far, hence the number of the newest
	threads int      // threads so far, hence the number of the next
	alive   []uint64 // bit ID is set while object ID lives; born/64 + 1 words once born > 0
}

// Threads returns the number of threads seen so far.
func (c *Checker) Threads() int { return c.threads }

// Check records o, or returns an error that says why o is impossible and changes nothing.
func (c *Checker) Check(o Op) error {
	// uint also catches negative numbers.
	if uint(o.Thread) > uint(c.threads) {
		return wrongThread(int64(o.Thread), c.threads)
	}
	switch o.Kind {
	case Malloc, Calloc:
		if o.Old|o.Align != 0 {
			return unusedFields(o)
		}
	case Aligned:
		if o.Old != 0 {
			return unusedFields(o)
		}
		if o.Align == 0 || o.Align&(o.Align-1) != 0 {
			return fmt.Errorf("alignment %d is not a power of two", o.Align)
		}
	case Realloc:
		if o.Align != 0 {
			return unusedFields(o)
		}
		if o.Old != 0 && !c.lives(o.Old) {
			return c.notAlive(o.Kind, o.Old)
		}
	case Free:
		if o.Old|o.Size|o.Align != 0 {
			return unusedFields(o)
		}
		if !c.lives(o.ID) {
			return c.notAlive(o.Kind, o.ID)
		}
		c.alive[o.ID>>6] &^= 1 << (o.ID & 63)
		c.threads = max(c.threads, o.Thread+1)
		return nil
	default:
		return unknownKind(string(rune(o.Kind)))
	}

	if o.ID != c.born+1 {
		return fmt.Errorf("%v begins object %d: the next object must be %d", o.Kind, o.ID, c.born+1)
	}
	if err := CheckLayout(o.Layout()); err != nil {
		return err
	}
	if o.Old != 0 {
		c.alive[o.Old>>6] &^= 1 << (o.Old & 63)
	}
	if o.ID>>6 >= uint64(len(c.alive)) {
		c.alive = append(c.alive, 0)
	}
	c.alive[o.ID>>6] |= 1 << (o.ID & 63)
	c.born = o.ID
	c.threads = max(c.threads, o.Thread+1)
	return nil
}

// lives reports whether object id is alive. Bit 0 of the bitmap is never set, so the result for 0
// is false.
func (c *Checker) lives(id uint64) bool {
	return id <= c.born && c.born != 0 && c.alive[id>>6]>>(id&63)&1 != 0
}

// CheckLayout returns an error if no allocator on this platform can be asked for a block of size
// bytes at a multiple of align, a power of two. The condition is the same as for galloc.NewLayout.
func CheckLayout(size, align uint64) error {
	const limit = uint64(math.MaxInt)
	if align <= limit+1 && size <= limit-(align-1) {
		return nil
	}
	return fmt.Errorf("size %d with alignment %d is over the limit of this platform: "+
		"the size rounded up to the alignment must be at most %d", size, align, limit)
}

func (c *Checker) notAlive(k Kind, id uint64) error {
	switch {
	case id == 0:
		return errors.New("free of object 0, which means no object: leave out the event")
	case id > c.born:
		return fmt.Errorf("%v of object %d, which does not exist yet: the newest is %d", k, id, c.born)
	}
	return fmt.Errorf("%v of object %d, which has ended: an earlier free or realloc ended it", k, id)
}

func wrongThread[T int64 | uint64](thread T, next int) error {
	return fmt.Errorf(
		"thread %d: the next new thread must be %d (threads are numbered from 0 in the order of their first event)",
		thread, next)
}

func unusedFields(o Op) error {
	return fmt.Errorf("%v with a field it does not use: %+v (leave it zero)",
		o.Kind, struct{ Old, Size, Align uint64 }{o.Old, o.Size, o.Align})
}

func unknownKind(letter string) error {
	return fmt.Errorf("unknown event %s: the events are m, c, a, r and f", strconv.Quote(letter))
}

// quoted returns line in quotes, shortened if it is long.
func quoted(line string) string {
	const maxLen = 80
	if len(line) > maxLen {
		line = line[:maxLen] + "..."
	}
	return strconv.Quote(line)
}
