// Command instructions counts the instructions of galloc's fast path, and compares them with
// recorded figures: make instructions.
//
//	instructions [-record]
//	instructions loop NAME N
//	instructions worst [NAME...]
//	instructions churn NAME OPERATIONS SAMPLES
//
// A count means less than a time, but it is the same on every machine and under any load, so a gate
// can compare it. The first form builds this program, and runs the second form under valgrind's
// callgrind, for N operations and for 2N. The difference is the count of N operations, without the
// start and the end of the program. loops.go has the operations, figures.go the comparison,
// figures.txt the figures.
//
// The third form counts the worst case instead of the average: it runs the fourth form, which
// performs operations at random, and steps through samples of them with ptrace. See worst.go and
// churn.go.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

const (
	figuresFile = "instructions/figures.txt" // relative to the folder bench
	operations  = 500_000                    // N: a multiple of the blocks of each batch
	tries       = 3                          // for each count
	loopCommand = "loop"

	churnCommand = "churn"
)

// The main goroutine of churn stays on the first thread of the program, since only that thread is
// traced.
func init() {
	if len(os.Args) > 1 && os.Args[1] == churnCommand {
		runtime.LockOSThread()
	}
}

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case loopCommand:
			return runLoop(args[1:])
		case churnCommand:
			return runChurn(args[1:])
		case "worst":
			return runWorst(args[1:], stdout)
		}
	}
	f := flag.NewFlagSet("instructions", flag.ContinueOnError)
	record := f.Bool("record", false, "write the counts to bench/"+figuresFile+" instead of comparing them")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -h", f.Arg(0))
	}
	if p := runtime.GOOS + "/" + runtime.GOARCH; p != platform {
		return fmt.Errorf("instructions are counted on %s only, and this is %s", platform, p)
	}
	text, err := os.ReadFile(figuresFile)
	if err != nil {
		return fmt.Errorf("%w: start it by make instructions", err)
	}
	old, err := parseFigures(string(text))
	if err != nil && !*record {
		return fmt.Errorf("bench/%s: %w", figuresFile, err)
	}
	if v := goVersion(); old[v] == nil && !*record {
		return fmt.Errorf("no figures for %s in bench/%s: %s", v, figuresFile, recordAgain)
	}
	dir, err := os.MkdirTemp("", "galloc-instructions-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "instructions")
	if err := build(program); err != nil {
		return err
	}
	if *record {
		return recordAll(program, old, stdout)
	}
	return compareAll(program, old[goVersion()], stdout)
}

// recordAll counts the figures of this version of Go again and writes the file.
func recordAll(program string, f figures, stdout io.Writer) error {
	now := counts{}
	for _, l := range loops {
		var c counter
		for range tries {
			if err := c.count(program, l); err != nil {
				return err
			}
		}
		now[l.name] = c.each()
		fmt.Fprintf(stdout, "%-10s %7.1f   %s\n", l.name, c.each(), l.what)
	}
	f[goVersion()] = now
	return os.WriteFile(figuresFile, []byte(f.String()), 0o644)
}

// compareAll returns an error if the count of a loop differs from the recorded one, even after
// several tries.
func compareAll(program string, old counts, stdout io.Writer) error {
	var wrong []string
	for _, l := range loops {
		var c counter
		var complaint string
		for range tries {
			if err := c.count(program, l); err != nil {
				return err
			}
			if complaint = judge(l.name, c.each(), old[l.name]); complaint == "" {
				break
			}
		}
		fmt.Fprintf(stdout, "%-10s %7.1f, recorded %7.1f   %s\n", l.name, c.each(), old[l.name], l.what)
		if complaint != "" {
			wrong = append(wrong, complaint)
		}
	}
	if wrong != nil {
		return errors.New(strings.Join(append(wrong, whatToDo), "\n"))
	}
	return nil
}

// build builds this program. Its instructions depend on the build settings, so it does not take
// these from the environment.
func build(program string) error {
	cmd := exec.Command("go", "build", "-o", program, "./instructions")
	cmd.Env = append(os.Environ(),
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=", "GOEXPERIMENT=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./instructions: %w\n%s", err, out)
	}
	return nil
}

// A counter has the counts for N operations of a loop, and for 2N: the least of all tries, since
// the runtime's other threads run for a time that varies, and can only add instructions.
type counter struct{ once, twice int64 }

// each returns the number of instructions of one operation.
func (c *counter) each() float64 { return float64(c.twice-c.once) / operations }

// count counts once more.
func (c *counter) count(program string, l loop) error {
	once, err := collect(program, l, operations)
	if err != nil {
		return err
	}
	twice, err := collect(program, l, 2*operations)
	if err != nil {
		return err
	}
	if c.once == 0 { // the first
		*c = counter{once, twice}
	}
	*c = counter{min(c.once, once), min(c.twice, twice)}
	return nil
}

// collect returns the number of instructions of a program that runs n operations of the loop.
func collect(program string, l loop, n int) (int64, error) {
	var out []byte
	var err error
	for range tries {
		out, err = start(program, l, n)
		// Under load, valgrind now and then ends the program by SIGILL, in the runtime's use of the
		// time stamp counter.
		if err == nil || !bytes.Contains(out, []byte("SIGILL")) {
			break
		}
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return 0, errors.New("valgrind was not found: install it (Debian: valgrind)")
	case err != nil:
		return 0, fmt.Errorf("loop %s: %w\n%s", l.name, err, out)
	}
	return parseCollected(string(out))
}

// start runs the program under valgrind and returns what it prints.
func start(program string, l loop, n int) ([]byte, error) {
	cmd := exec.Command("valgrind", "--command-line-only=yes", "--tool=callgrind", "--callgrind-out-file=/dev/null",
		program, loopCommand, l.name, strconv.Itoa(n))
	// One P, no garbage collection, and no signals from the runtime to itself: only the loop and
	// the runtime's monitor run.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=off", "GODEBUG=asyncpreemptoff=1")
	return cmd.CombinedOutput()
}

var collected = regexp.MustCompile(`(?m)^==\d+== Collected : (\d+)$`)

// parseCollected finds the count in what callgrind prints.
func parseCollected(out string) (int64, error) {
	m := collected.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("valgrind did not print the number of instructions:\n%s", out)
	}
	return strconv.ParseInt(m[1], 10, 64)
}
