package galloc_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
)

const bubbleVar = "GALLOC_TEST_BUBBLE"

// A bubble of testing/synctest may use the global allocator first. Its timers belong to the
// program. Each setting runs in a separate process.
func TestTheGlobalAllocatorServesBubblesAndTheRest(t *testing.T) {
	if os.Getenv(bubbleVar) != "" {
		useInAndOutOfABubble(t)
		return
	}
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe := galloc.Must(os.Executable())
	for _, setting := range []string{
		"heap,decay=1ms", "debug,sample=1", "debug,sample=4096", "debug,leaks=1ms,check=1ms", "debug,sample=4096,leaks=1ms",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			name, _, _ := strings.Cut(t.Name(), "/")
			cmd := exec.Command(exe, "-test.timeout=30s", "-test.run=^"+name+"$")
			cmd.Env = append(os.Environ(), bubbleVar+"=1", "GALLOC="+setting)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
			// The reports go on after the bubble, by the clock of the program.
			if strings.HasPrefix(setting, "debug,leaks") && !strings.Contains(string(out), "bubble_test.go") {
				t.Errorf("no leaks were written:\n%s", out)
			}
		})
	}
}

func useInAndOutOfABubble(t *testing.T) {
	small, large := testLayout(100, 8), testLayout(100_000, 8)
	use := func() (kept unsafe.Pointer) {
		for range 3000 {
			galloc.Dealloc(galloc.Alloc(small), small)
		}
		galloc.Dealloc(galloc.Alloc(large), large)
		return galloc.Alloc(small)
	}
	var kept [3]unsafe.Pointer
	for i := range kept {
		synctest.Test(t, func(*testing.T) {
			kept[i] = use()
			time.Sleep(time.Hour)
			galloc.Dealloc(kept[i], small)
			kept[i] = use()
		})
		galloc.Dealloc(use(), small)
	}
	// An alarm that was set in a bubble waits up to 50 ms longer. Let all of them ring.
	time.Sleep(70 * time.Millisecond)
	for _, p := range kept {
		galloc.Dealloc(p, small)
	}
}
