// Package alarm calls functions after some real time, outside of every bubble of testing/synctest.
//
// A timer or a goroutine that is made in a bubble belongs to the bubble: it follows the fake clock,
// it must end before the bubble does, and to set the timer from outside ends the program. But an
// allocator serves the whole program, in its bubbles and outside. So its timers are made outside,
// and are set there too, since package time would add a duration to the fake clock of a bubble.
//
// An alarm that is set in a bubble waits in a list until there is a call from outside: of a method
// of any alarm, or of any alarm's function. In a test binary, the only kind of program that has
// bubbles, a timer also looks at the list every pollPause.
package alarm

import (
	"os"
	"strings"
	"sync"
	"time"
)

// An Alarm calls a function once, in a separate goroutine, some time after Reset.
type Alarm struct {
	f     func()
	timer *time.Timer // nil if the alarm was made in a bubble, and has not been set outside yet
	wait  time.Duration
}

// mu guards the alarms.
var mu sync.Mutex

// waiting are the alarms that have been set in a bubble. Each rings after its wait, from now on.
var waiting []*Alarm

// New returns an Alarm that is not set.
func New(f func()) *Alarm {
	a := &Alarm{f: f}
	if !bubbled() {
		a.timer = time.AfterFunc(time.Hour, a.ring)
		a.timer.Stop()
	}
	return a
}

// Reset sets the alarm to ring after d, and not when it was set to before. It reports whether it
// was set. It allocates Go memory only in a bubble.
func (a *Alarm) Reset(d time.Duration) bool {
	mu.Lock()
	defer mu.Unlock()
	was := a.stop()
	a.wait = d
	if bubbled() {
		waiting = append(waiting, a)
		return was
	}
	a.set()
	serve()
	return was
}

// Stop makes the alarm not ring, and reports whether it was set. A call of its function may still
// be running.
func (a *Alarm) Stop() bool {
	mu.Lock()
	defer mu.Unlock()
	return a.stop()
}

func (a *Alarm) stop() bool {
	for i, w := range waiting {
		if w == a {
			waiting = append(waiting[:i], waiting[i+1:]...)
			return true
		}
	}
	return a.timer != nil && a.timer.Stop()
}

// set sets the timer. It is called outside of bubbles.
func (a *Alarm) set() {
	if a.timer == nil {
		a.timer = time.AfterFunc(a.wait, a.ring)
		return
	}
	a.timer.Reset(a.wait)
}

// ring is called by the timer.
func (a *Alarm) ring() {
	mu.Lock()
	serve()
	mu.Unlock()
	a.f()
}

// serve sets the timers of the waiting alarms. It is called outside of bubbles.
func serve() {
	for i, a := range waiting {
		a.set()
		waiting[i] = nil
	}
	waiting = waiting[:0]
}

// bubbled reports whether the caller is in a bubble. There, and nowhere else, the time lacks the
// monotonic clock.
func bubbled() bool {
	now := time.Now()
	return now == now.Round(0) //nolint:staticcheck // Equal ignores the monotonic clock
}

// pollPause is the time between two looks at the waiting alarms in a test binary.
const pollPause = 50 * time.Millisecond

func init() {
	if !isTest(os.Args) {
		return
	}
	var poll *Alarm
	poll = New(func() { poll.Reset(pollPause) })
	poll.Reset(pollPause)
}

// isTest reports whether args are the arguments of a test binary: by its name, or by a flag of
// package testing, without which go test starts none.
func isTest(args []string) bool {
	if len(args) == 0 {
		return false
	}
	if strings.HasSuffix(strings.TrimSuffix(args[0], ".exe"), ".test") {
		return true
	}
	for _, arg := range args[1:] {
		if strings.HasPrefix(arg, "-test.") || strings.HasPrefix(arg, "--test.") {
			return true
		}
	}
	return false
}
