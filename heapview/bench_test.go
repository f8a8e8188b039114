package heapview

import "testing"

// BenchmarkSample is the work of each second for one viewer, without the network.
func BenchmarkSample(b *testing.B) {
	v := New(Options{})
	defer v.Close()
	me := &viewer{messages: make(chan []byte, maxWaiting)}
	v.viewers[me] = struct{}{}
	defer delete(v.viewers, me)
	v.memoryBusy = true
	b.ReportAllocs()
	for b.Loop() {
		r := v.read()
		v.mu.Lock()
		v.add(&r)
		v.mu.Unlock()
		<-me.messages
	}
	b.ReportMetric(float64(len(v.last)), "message-bytes")
}
