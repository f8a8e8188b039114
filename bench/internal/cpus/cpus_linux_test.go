package cpus

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func allowed(t *testing.T) string {
	t.Helper()
	// The mask of this thread is what a child inherits and shows.
	out, err := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "Cpus_allowed_list:"))
}

func TestWhileAChildHasOneCPUAndThenAllAgain(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := allowed(t)
	if err := While(1, func() error {
		if got := allowed(t); strings.ContainsAny(got, ",-") {
			t.Errorf("the child may run on CPUs %s, want one", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := allowed(t); got != before {
		t.Errorf("afterwards the CPUs are %s, want %s", got, before)
	}
}

func TestNoneAndTooManyCPUsAreRefused(t *testing.T) {
	n, err := Count()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 0, n + 1} {
		if err := While(n, func() error { t.Error("called"); return nil }); err == nil {
			t.Errorf("While(%d): no error", n)
		}
		if err := BindProcess(n); err == nil {
			t.Errorf("BindProcess(%d): no error", n)
		}
	}
}

// TestBoundProcess runs itself in a child, since there is no way back.
func TestBoundProcess(t *testing.T) {
	if os.Getenv("CPUS_TEST_BOUND") == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestBoundProcess$")
		child.Env = append(os.Environ(), "CPUS_TEST_BOUND=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := BindProcess(1); err != nil {
		t.Fatal(err)
	}
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("GOMAXPROCS is %d", n)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		_, list, _ := strings.Cut(string(status), "Cpus_allowed_list:")
		list, _, _ = strings.Cut(list, "\n")
		if strings.ContainsAny(list, ",-") {
			t.Errorf("thread %s may run on CPUs %s, want one", task.Name(), strings.TrimSpace(list))
		}
	}
}
