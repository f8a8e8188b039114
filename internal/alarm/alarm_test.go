package alarm

import (
	"testing"
	"testing/synctest"
	"time"
)

// rung returns an alarm, and a channel that it sends to: whether it rings in a bubble.
func rung() (*Alarm, <-chan bool) {
	c := make(chan bool, 8)
	return New(func() { c <- bubbled() }), c
}

func TestAnAlarmRingsOnce(t *testing.T) {
	a, c := rung()
	if a.Stop() {
		t.Error("a new alarm is set")
	}
	if a.Reset(time.Millisecond) {
		t.Error("it was set before")
	}
	<-c
	if a.Stop() {
		t.Error("it is still set after it has rung")
	}
	a.Reset(time.Hour)
	if !a.Reset(time.Hour) || !a.Stop() || a.Stop() {
		t.Error("Reset and Stop do not know that it was set")
	}
	if len(c) != 0 {
		t.Error("it has rung twice")
	}
}

// An alarm that is set in a bubble rings outside of it, also after the bubble has ended, wherever
// it was made.
func TestAnAlarmSetInABubbleRingsOutside(t *testing.T) {
	outside, c := rung()
	var inside *Alarm
	synctest.Test(t, func(t *testing.T) {
		if !bubbled() {
			t.Fatal("a bubble is not recognized")
		}
		inside = New(outside.f)
		outside.Reset(time.Millisecond)
		inside.Reset(time.Millisecond)
		if !inside.Reset(time.Millisecond) || !inside.Stop() || inside.Stop() {
			t.Error("Reset and Stop do not know in a bubble that it was set")
		}
		inside.Reset(time.Millisecond)
		time.Sleep(time.Hour) // of the fake clock
		stopped, _ := rung()
		stopped.Reset(time.Millisecond)
		stopped.Stop()
	})
	for range 2 {
		if <-c {
			t.Error("it rings in a bubble")
		}
	}
	inside.Reset(time.Millisecond) // from outside
	<-c
	inside.Reset(time.Hour)
	synctest.Test(t, func(t *testing.T) {
		if !inside.Stop() {
			t.Error("it cannot be stopped in a bubble")
		}
		inside.Reset(time.Hour)
	})
	if !inside.Stop() {
		t.Error("it cannot be stopped after the bubble")
	}
}

func TestIsTest(t *testing.T) {
	for _, args := range [][]string{{"/tmp/x.test"}, {"x.test.exe"}, {"prog", "-v", "-test.v=true"}, {"prog", "--test.v"}} {
		if !isTest(args) {
			t.Errorf("%q is none", args)
		}
	}
	for _, args := range [][]string{nil, {"prog"}, {"prog", "a.test", "-test"}} {
		if isTest(args) {
			t.Errorf("%q is one", args)
		}
	}
}
