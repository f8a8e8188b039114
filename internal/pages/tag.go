// Tags: who owns a large block. See allocator.go for the overview.

package pages

import "sync/atomic"

// MaxTagged is the largest number of pages of a large block that has a tag.
const MaxTagged = 4 << 20 >> PageShift

// A Tag is a word that says who owns a large block: the address of its first page, the number of
// its pages less one, and its state. It is a single word so that a compare-and-swap compares all of
// it. A goroutine that changes the record of a tagged block takes the tag away first, by
// compare-and-swap; then it alone owns the run, with or without the lock. Blocks of more than
// MaxTagged pages have tag 0 and are protected by the lock.
//
// In a record the tag is the field prev, which a large block has no other use for. In spans of
// other kinds the field holds the address of a record, which has zeros in place of the state. So a
// stale record never carries the tag that the caller expects.
type Tag uintptr

// The states of a large block.
const (
	TagLive    = 1 + iota // allocated
	TagStashed            // freed, and in a slot of a stash, or on its way from or to one
	TagStale              // in slots only: TagStashed since before the last tick
	tagState   = 3        // the bits of the state
)

// The number of pages must fit below the address.
const _ = uint(PageSize - (MaxTagged-1)<<2 - tagState - 1)

// Base returns the address of the block.
func (t Tag) Base() Ref { return Ref(t &^ (PageSize - 1)) }

// Pages returns the number of its pages.
func (t Tag) Pages() uintptr { return uintptr(t&(PageSize-1)>>2) + 1 }

// State returns the state of the block.
func (t Tag) State() Tag { return t & tagState }

// WithState returns t with another state.
func (t Tag) WithState(state Tag) Tag { return t&^tagState | state }

// Tag returns the tag of s.
func (s *Span) Tag() Tag { return Tag(atomic.LoadUintptr((*uintptr)(&s.prev))) }

// SetTag sets the tag of s.
func (s *Span) SetTag(t Tag) { atomic.StoreUintptr((*uintptr)(&s.prev), uintptr(t)) }

// SwapTag sets the tag to to if it is old, and reports whether it was.
func (s *Span) SwapTag(old, to Tag) bool {
	return atomic.CompareAndSwapUintptr((*uintptr)(&s.prev), uintptr(old), uintptr(to))
}

// liveTag returns the tag of s while it is an allocated large block.
func (s *Span) liveTag() Tag {
	if s.pages > MaxTagged {
		return 0
	}
	return Tag(s.Base) | Tag(s.pages-1)<<2 | TagLive
}

// Claim takes the tag of s, a large block, away, so that no goroutine can free it without the lock,
// which the caller must hold. It reports false if the block has been freed. The caller calls
// Unclaim before it releases the lock, unless it frees s.
func (s *Span) Claim() bool {
	t := s.Tag()
	return s.pages > MaxTagged || t.State() == TagLive && s.SwapTag(t, 0)
}

// Unclaim makes s an allocated block again.
func (s *Span) Unclaim() { s.SetTag(s.liveTag()) }
