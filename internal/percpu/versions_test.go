package percpu

import (
	"go/version"
	"runtime"
	"testing"
)

// toCheck is what must hold in a version of Go before known.go says so. It was checked in 1.26.8
// and 1.27.3, by reading the sources, for amd64 and arm64.
const toCheck = `
 1. runtime/proc.go, procPin and procUnpin: other packages may link to them; they change m.locks, and
    procPin returns p.id. getm returns the m. "go tool objdump -s runtime.procPin" shows the code that
    findp_*.go expects.
 2. runtime/preempt.go, canPreemptM: a goroutine whose m.locks is not 0 is not preempted.
    runtime/stack.go, newstack: the same.
 3. cmd/compile/internal/liveness/plive.go, where it reads f.NoSplit: a go:nosplit function has no safe
    points.
 4. runtime/preempt.go, isAsyncSafePoint: false at unsafe points, and in assembly (FuncFlagAsm).
 5. runtime/proc.go, stopTheWorldWithSema: it waits for each P that runs Go code.
    runtime/mprof.go, Stack: with all goroutines it stops the world.
 6. cmd/compile/abi-internal.md, for the assembly of internal/engine: arguments in AX, BX, CX, DI; the
    result in AX; the goroutine in R14; no register is saved by the callee; a function value points to a
    variable that begins with the address of the code.
 7. runtime/runtime2.go: g.m is at 48, m.p at knownOffsetOfP of internal/engine/fast_amd64.go, and p.id
    is the first field of p.
 8. The tests pass: GOTOOLCHAIN=... go test ./internal/percpu ./internal/engine ./heap ./wrap .
    And .ci/newer has the version.
 9. bench/instructions/figures.txt has figures of it: make instructions ARGS=-record.
`

func TestGoVersionIsKnown(t *testing.T) {
	const next = "go1.28" // the first version that is not known
	if v := runtime.Version(); !known && (!version.IsValid(v) || version.Compare(v, next) >= 0) {
		t.Errorf("%s is newer than the versions that internal/percpu knows: the heap is right, but slower. Check:\n%s",
			v, toCheck)
	}
}
