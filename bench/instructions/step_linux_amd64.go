package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// stepThrough runs a program, and executes each call of one of the functions in sampled by single
// steps. It returns the number of galloc's instructions of each call, in the order of sampled.
func stepThrough(program string, args ...string) ([][]int, error) {
	runtime.LockOSThread() // one thread traces
	defer runtime.UnlockOSThread()
	text, err := readText(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	// As in collect. The first thread is traced, and runs the main goroutine: see init.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=off", "GODEBUG=asyncpreemptoff=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &tracee{
		pid: cmd.Process.Pid, text: text, counts: make([][]int, len(sampled)), code: make([][1]byte, len(sampled)),
	}
	if err := t.run(); err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("stepping through %s: %w", strings.Join(cmd.Args, " "), err)
	}
	return t.counts, nil
}

// text has the addresses of a program's functions.
type text struct {
	sampled []uint64    // the first instruction of each function in sampled
	galloc  [][2]uint64 // the start and the end of each function of galloc's packages, in order
}

func readText(program string) (t text, err error) {
	f, err := elf.Open(program)
	if err != nil {
		return t, err
	}
	defer func() { _ = f.Close() }() // the file was only read
	symbols, err := f.Symbols()
	if err != nil {
		return t, err
	}
	t.sampled = make([]uint64, len(sampled))
	for _, s := range symbols {
		if i := slices.Index(sampled, s.Name); i >= 0 {
			t.sampled[i] = s.Value
		}
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && strings.HasPrefix(s.Name, "github.com/galloc-go/galloc") {
			t.galloc = append(t.galloc, [2]uint64{s.Value, s.Value + s.Size})
		}
	}
	slices.SortFunc(t.galloc, func(a, b [2]uint64) int { return int(int64(a[0]) - int64(b[0])) })
	if slices.Contains(t.sampled, 0) || t.galloc == nil {
		return t, errors.New("the program has no symbols of the functions")
	}
	return t, nil
}

// isGalloc reports whether the instruction at pc belongs to galloc.
func (t *text) isGalloc(pc uint64) bool {
	i, found := slices.BinarySearchFunc(t.galloc, pc, func(f [2]uint64, pc uint64) int {
		return int(int64(f[0]) - int64(pc))
	})
	return found || i > 0 && pc < t.galloc[i-1][1]
}

// tracee is the program, stopped.
type tracee struct {
	pid    int
	text   text
	code   [][1]byte // the code that the breakpoints replace
	counts [][]int
}

const breakpoint = 0xcc // the instruction int3

// run runs the program to its end.
func (t *tracee) run() error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &status, 0, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("the program has not started: %v", err)
	}
	for i, at := range t.text.sampled {
		if _, err := syscall.PtracePeekText(t.pid, uintptr(at), t.code[i][:]); err != nil {
			return err
		}
		if err := t.poke(at, breakpoint); err != nil {
			return err
		}
	}
	for {
		status, err := t.resume()
		switch {
		case err != nil:
			return err
		case status.Exited() && status.ExitStatus() == 0:
			return nil
		case !status.Stopped():
			return fmt.Errorf("the program ended by %v, status %d", status.Signal(), status.ExitStatus())
		}
		if err := t.sample(); err != nil {
			return err
		}
	}
}

// resume runs the program to the next breakpoint, or to its end, and passes signals on.
func (t *tracee) resume() (status syscall.WaitStatus, err error) {
	for signal := 0; ; signal = int(status.StopSignal()) {
		if err := syscall.PtraceCont(t.pid, signal); err != nil {
			return status, err
		}
		if _, err := syscall.Wait4(t.pid, &status, 0, nil); err != nil {
			return status, err
		}
		if !status.Stopped() || status.StopSignal() == syscall.SIGTRAP {
			return status, nil
		}
	}
}

// sample steps from the breakpoint where the program has stopped to the end of the function.
func (t *tracee) sample() error {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(t.pid, &regs); err != nil {
		return err
	}
	start := regs.Rip - 1
	which := slices.Index(t.text.sampled, start)
	if which < 0 {
		return fmt.Errorf("the program stopped at %#x, where there is no breakpoint", start)
	}
	var back [8]byte
	if _, err := syscall.PtracePeekData(t.pid, uintptr(regs.Rsp), back[:]); err != nil {
		return err
	}
	var end uint64
	for i, b := range back {
		end |= uint64(b) << (8 * i)
	}
	regs.Rip = start
	if err := syscall.PtraceSetRegs(t.pid, &regs); err != nil {
		return err
	}
	err := t.poke(start, t.code[which][0])
	if err != nil {
		return err
	}
	n := 0
	for pc := start; pc != end; {
		if t.text.isGalloc(pc) {
			n++
		}
		if err := t.step(); err != nil {
			return err
		}
		if pc, err = t.pc(); err != nil {
			return err
		}
	}
	t.counts[which] = append(t.counts[which], n)
	return t.poke(start, breakpoint)
}

func (t *tracee) poke(at uint64, b byte) error {
	_, err := syscall.PtracePokeText(t.pid, uintptr(at), []byte{b})
	return err
}

// step executes one instruction. step and pc are called some ten million times, so they bypass the
// runtime's scheduler: they wait only for a short time.
func (t *tracee) step() error {
	for signal := uintptr(0); ; {
		_, _, errno := syscall.RawSyscall6(
			syscall.SYS_PTRACE, syscall.PTRACE_SINGLESTEP, uintptr(t.pid), 0, signal, 0, 0)
		if errno != 0 {
			return errno
		}
		var status uint32 // as the kernel writes it: C's int
		// SAFETY: the kernel writes to it during the call.
		_, _, errno = syscall.RawSyscall6(
			syscall.SYS_WAIT4, uintptr(t.pid), uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		switch s := syscall.WaitStatus(status); {
		case !s.Stopped():
			return errors.New("the program ended within a sample")
		case s.StopSignal() == syscall.SIGTRAP:
			return nil
		default:
			signal = uintptr(s.StopSignal())
		}
	}
}

// pc returns the address of the next instruction.
func (t *tracee) pc() (uint64, error) {
	var pc uint64
	// SAFETY: the kernel writes to it during the call.
	_, _, errno := syscall.RawSyscall6(
		syscall.SYS_PTRACE, syscall.PTRACE_PEEKUSR, uintptr(t.pid),
		unsafe.Offsetof(syscall.PtraceRegs{}.Rip), uintptr(unsafe.Pointer(&pc)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return pc, nil
}
