// Command instructions counts the instructions of galloc's fast path, and compares them with recorded figures: make instructions.
//
//	instructions [-record]
//	instructions loop NAME N
//	instructions worst [NAME...]
//	instructions churn NAME OPERATIONS SAMPLES
//
// A count says less than a time, but it is the same on every machine and under any load, so a gate can hold what was won. The second form is
// what is counted: the program builds itself, and runs that under valgrind's callgrind, for N operations and for twice as many. The
// difference is N operations, without what starting and ending a program takes. loops.go has the operations, figures.go the
// comparison, figures.txt the figures.
//
// The third form counts what operations take at worst, and not on average: the fourth form is a program that does many of them at random, and
// samples are stepped through with ptrace. See worst.go and churn.go.
package main

import (
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
	figuresFile = "instructions/figures.txt" // from the folder bench
	operations  = 500_000                    // N: a multiple of the blocks of each batch
	tries       = 3                          // of a count
	loopCommand = "loop"

	churnCommand = "churn"
)

// What is stepped through stays on the thread that the program has started on, which is the one that is traced.
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
	record := f.Bool("record", false, "write what is counted to bench/"+figuresFile+", instead of comparing it with what is there")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("there are flags only, and %q is none: see -h", f.Arg(0))
	}
	if p := runtime.GOOS + "/" + runtime.GOARCH; p != platform {
		return fmt.Errorf("the fast path is counted on %s only, and this is %s", platform, p)
	}
	text, err := os.ReadFile(figuresFile)
	if err != nil {
		return fmt.Errorf("%w: start it by make instructions", err)
	}
	old, err := parseFigures(string(text))
	if err != nil && !*record {
		return fmt.Errorf("bench/%s: %w", figuresFile, err)
	}
	if v := goVersion(); old.version != v && !*record {
		return fmt.Errorf("the figures are of %s, and this is %s, whose code is another: %s", old.version, v, recordAnew)
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
		return recordAll(program, stdout)
	}
	return compareAll(program, old, stdout)
}

// recordAll writes the file of figures.
func recordAll(program string, stdout io.Writer) error {
	now := figures{version: goVersion(), counts: map[string]float64{}}
	for _, l := range loops {
		var c counter
		for range tries {
			if err := c.count(program, l); err != nil {
				return err
			}
		}
		now.counts[l.name] = c.each()
		fmt.Fprintf(stdout, "%-10s %7.1f   %s\n", l.name, c.each(), l.what)
	}
	return os.WriteFile(figuresFile, []byte(now.String()), 0o644)
}

// compareAll returns an error if there is a loop whose count is not as recorded, even after some tries.
func compareAll(program string, old figures, stdout io.Writer) error {
	var wrong []string
	for _, l := range loops {
		var c counter
		var complaint string
		for range tries {
			if err := c.count(program, l); err != nil {
				return err
			}
			if complaint = judge(l.name, c.each(), old.counts[l.name]); complaint == "" {
				break
			}
		}
		fmt.Fprintf(stdout, "%-10s %7.1f, recorded %7.1f   %s\n", l.name, c.each(), old.counts[l.name], l.what)
		if complaint != "" {
			wrong = append(wrong, complaint)
		}
	}
	if wrong != nil {
		return errors.New(strings.Join(append(wrong, whatToDo), "\n"))
	}
	return nil
}

// build builds this program. The instructions depend on the settings, so these do not come from the environment.
func build(program string) error {
	cmd := exec.Command("go", "build", "-o", program, "./instructions")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=", "GOEXPERIMENT=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./instructions: %w\n%s", err, out)
	}
	return nil
}

// A counter has what was counted for N operations of a loop, and for twice as many: the least of all tries, since what the runtime's
// other threads do meanwhile depends on time, and can only add something.
type counter struct{ once, twice int64 }

// each returns how many instructions an operation takes.
func (c *counter) each() float64 { return float64(c.twice-c.once) / operations }

// count is one try.
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

// collect returns how many instructions the program executes that runs n operations of the loop.
func collect(program string, l loop, n int) (int64, error) {
	cmd := exec.Command("valgrind", "--command-line-only=yes", "--tool=callgrind", "--callgrind-out-file=/dev/null",
		program, loopCommand, l.name, strconv.Itoa(n))
	// One P, no garbage collection, and no signals from the runtime to itself: what remains is the loop, and the runtime's monitor.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=off", "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return 0, errors.New("valgrind is not here: install it (Debian: valgrind)")
	case err != nil:
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return parseCollected(string(out))
}

var collected = regexp.MustCompile(`(?m)^==\d+== Collected : (\d+)$`)

// parseCollected finds the count in what callgrind prints.
func parseCollected(out string) (int64, error) {
	m := collected.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("valgrind does not say how many instructions it has collected:\n%s", out)
	}
	return strconv.ParseInt(m[1], 10, 64)
}
