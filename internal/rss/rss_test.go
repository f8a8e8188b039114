package rss

import "testing"

func TestPeakCountsFromStart(t *testing.T) {
	base, ok := Start()
	if !ok {
		t.Skip("resident memory is not measured here")
	}
	const size = 64 << 20
	b := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		b[i] = 1
	}
	peak, now := Peak()
	if b[size-4096] != 1 || peak-base < size/2 || now-base < size/2 {
		t.Errorf("after %d bytes were touched, %d more are resident, and the peak is %d higher",
			size, now-base, peak-base)
	}
	if _, ok := Start(); !ok {
		t.Fatal("the peak could not be reset")
	}
	if peak, now := Peak(); peak < now {
		t.Errorf("the peak is %d, and %d bytes are resident", peak, now)
	}
}
