package heapview

import (
	"encoding/json"
	"time"

	"github.com/galloc-go/galloc/metrics"
)

// The columns of a point. The first numLines are the lines of a chart, each with its maximum in the
// time of the point. The others are the parts of the footprint at the moment when it was largest,
// so
//
//	point.values[footprint] == Σ point.values[numLines:]
const (
	live = iota
	footprint
	resident
	goHeap
	heapLimit   // the lower of the heap's limits, or 0
	systemLimit // of the control groups or the machine, or 0
	numLines
)

const (
	partLive = numLines + iota
	partCached
	partFree // free blocks in spans, and the rest of spans
	partRetained
	partPurged // pages that are being purged
	partMetadata
	numColumns
)

// columnNames are the names of the columns for the page.
var columnNames = [numColumns]string{
	"live", "footprint", "resident", "goHeap", "heapLimit", "systemLimit",
	"partLive", "partCached", "partFree", "partRetained", "partPurged", "partMetadata",
}

// A point is the figures at a moment, or over some time after it.
type point struct {
	at     int64 // in milliseconds since 1970
	values [numColumns]uint64
}

// MarshalJSON writes p as an array: the time, and the values. Numbers are exact up to 2^53.
func (p point) MarshalJSON() ([]byte, error) {
	row := make([]uint64, 0, 1+numColumns)
	return json.Marshal(append(append(row, uint64(p.at)), p.values[:]...))
}

// merge adds the figures of q to p.
func (p *point) merge(q *point) {
	if q.values[footprint] >= p.values[footprint] {
		copy(p.values[numLines:], q.values[numLines:])
	}
	for i := range numLines {
		p.values[i] = max(p.values[i], q.values[i])
	}
}

// A level is the part of the history with one resolution.
type level struct {
	step   int64 // milliseconds from one point to the next
	points []point
	oldest int // index of the oldest point, once the level is full
	max    int // number of points
	open   point
}

// levels are the resolutions: 10 minutes, 2 hours, 24 hours. In the first, each sample is a point.
var levels = []level{
	{step: 1_000, max: 600},
	{step: 10_000, max: 720},
	{step: 120_000, max: 720},
}

// push adds a point, in place of the oldest if the level is full.
func (l *level) push(p point) {
	if len(l.points) < l.max {
		l.points = append(l.points, p)
		return
	}
	l.points[l.oldest] = p
	l.oldest = (l.oldest + 1) % l.max
}

// all returns the points in order of time.
func (l *level) all() []point {
	return append(append(make([]point, 0, len(l.points)), l.points[l.oldest:]...), l.points[:l.oldest]...)
}

// closed is a point that a level has got.
type closed struct {
	Level int   `json:"level"`
	Point point `json:"point"`
}

// An event is something that a counter of the heap shows. Events of one kind within a minute are
// one.
type event struct {
	ID    uint64 `json:"id"`
	First int64  `json:"first"` // in milliseconds since 1970
	Last  int64  `json:"last"`
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
	Bytes uint64 `json:"bytes,omitempty"` // that were returned to the system
}

// maxEvents is the number of events that are kept.
const maxEvents = 200

// mergeEvents is the time within which events of one kind are one.
const mergeEvents = time.Minute

// history is what a View remembers. Its size is bounded by levels and maxEvents.
type history struct {
	levels   []level
	events   []event // oldest first
	lastID   uint64
	before   metrics.Heap // the counters of the last sample
	hasBegun bool         // before is valid
}

// clear forgets everything except the counters.
func (h *history) clear() {
	h.levels = append([]level(nil), levels...)
	h.events = []event{} // for the page, which expects an array
}

// isAfter reports whether h has a later point than p.
func (h *history) isAfter(p point) bool {
	l := &h.levels[0]
	return len(l.points) != 0 && l.points[(l.oldest+len(l.points)-1)%len(l.points)].at > p.at
}

// add enters a sample, and returns the points that are new in the coarser levels.
func (h *history) add(p point) (all []closed) {
	h.levels[0].push(p)
	for i := range h.levels[1:] {
		l := &h.levels[1+i]
		start := p.at - p.at%l.step
		if l.open.at == start {
			l.open.merge(&p)
			continue
		}
		if l.open.at != 0 {
			l.push(l.open)
			all = append(all, closed{1 + i, l.open})
		}
		l.open = p
		l.open.at = start
	}
	return all
}

// note compares the counters with the sample before, and returns the events that are new or
// have changed. h is nil if there are no counters.
func (h *history) note(t time.Time, now *metrics.Heap) (changed []event) {
	if now == nil {
		return nil
	}
	b := &h.before
	if h.hasBegun {
		for _, e := range []event{
			{Kind: "limit refusal", Count: now.LimitRefusals - b.LimitRefusals},
			{Kind: "system refusal", Count: now.SystemRefusals - b.SystemRefusals},
			{Kind: "soft limit reached", Count: now.SoftLimitHits - b.SoftLimitHits},
			{Kind: "misuse", Count: now.Misuses - b.Misuses},
			{Kind: "purge", Count: now.Purges - b.Purges, Bytes: now.PurgedBytes - b.PurgedBytes},
		} {
			if e.Count != 0 {
				changed = append(changed, h.enter(t.UnixMilli(), e))
			}
		}
	}
	h.before, h.hasBegun = *now, true
	h.before.Classes = nil
	return changed
}

// enter adds e to an event of its kind of the last minute, or to the list, and returns the result.
func (h *history) enter(at int64, e event) event {
	for i := len(h.events) - 1; i >= 0; i-- {
		if old := &h.events[i]; old.Kind == e.Kind && at-old.First < mergeEvents.Milliseconds() {
			old.Last = at
			old.Count += e.Count
			old.Bytes += e.Bytes
			return *old
		}
	}
	if len(h.events) == maxEvents {
		h.events = append(h.events[:0], h.events[1:]...)
	}
	h.lastID++
	e.ID, e.First, e.Last = h.lastID, at, at
	h.events = append(h.events, e)
	return e
}

// historyMessage is the first message to a viewer.
type historyMessage struct {
	Columns []string       `json:"columns"`
	Levels  []levelMessage `json:"levels"`
	Events  []event        `json:"events"`
}

type levelMessage struct {
	Step   int64   `json:"step"`
	Max    int     `json:"max"`
	Points []point `json:"points"`
}

func (h *history) message() []byte {
	m := historyMessage{Columns: columnNames[:], Events: h.events}
	for i := range h.levels {
		l := &h.levels[i]
		m.Levels = append(m.Levels, levelMessage{l.step, l.max, l.all()})
	}
	return message("history", &m)
}
