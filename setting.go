package galloc

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/setting"
)

// A choice is a setting that chooses the global allocator outside of the code:
// NAME[,option=value...].
type choice struct {
	from   string             // the setting: "GALLOC", or "-X" and the variable
	text   string             // its value, or "" if it is not set
	alloc  GlobalAlloc        // the allocator of that name, or nil: named.New returns it
	named  *Selection         // of a binding
	values heapValues         // the options
	debug  *memcheck.Settings // of the name debug, which wraps an allocator
}

func (c *choice) String() string { return c.from + "=" + setting.Printable(c.text) }

// defaultAllocator can be set by -ldflags='-X
// github.com/galloc-go/galloc.defaultAllocator=NAME[,option=value...]'.
var defaultAllocator string

const packagePath = "github.com/galloc-go/galloc"

// The choices of this program.
var (
	environment = choice{from: "GALLOC"}
	linkerFlag  = choice{from: "-X " + packagePath + ".defaultAllocator"}
)

// readChoices reads both choices. If one is wrong, it ends the program.
func readChoices() {
	linkerFlag.text = defaultAllocator
	if text := os.Getenv("GALLOC"); text != "" && isExecutable(buildMode()) {
		environment.text = text
	}
	for _, c := range []*choice{&linkerFlag, &environment} {
		if err := c.parse(); err != nil {
			fmt.Fprintf(os.Stderr, "galloc: %v: %v\n", c, err)
			os.Exit(2)
		}
	}
}

// testLog is the file in which a test run by go test records what it reads of its environment, or
// "" if there is none, or if it knows of GALLOC.
var testLog = testLogOf(os.Args)

func testLogOf(args []string) string {
	for _, arg := range args {
		if _, file, ok := strings.Cut(arg, "-test.testlogfile="); ok {
			return file
		}
	}
	return ""
}

// logged reports whether the log of go test knows that this program reads GALLOC. Otherwise go test
// would answer GALLOC=debug go test with the result it keeps of a run without. The log begins in
// testing.M.Run, which is after readChoices: so GALLOC is read once more as soon as the log exists.
// The caller has locked registering.
func logged() bool {
	if testLog == "" {
		return true
	}
	if _, err := os.Stat(testLog); err != nil {
		return false
	}
	os.Getenv("GALLOC")
	testLog = ""
	return true
}

// chosen returns the choice that decides, or nil.
func chosen() *choice {
	switch {
	case environment.text != "":
		return &environment
	case linkerFlag.text != "":
		return &linkerFlag
	}
	return nil
}

// overridden returns the part of DescribeGlobal about the choices that have no effect.
func overridden(inCode bool) (text string) {
	c := chosen()
	switch {
	case c == nil || c.debug != nil:
	case inCode && c.values.given:
		text += fmt.Sprintf("; %v is overridden by the program, but for the options of the heap of the process", c)
	case inCode:
		text += fmt.Sprintf("; %v is overridden by the program", c)
	}
	if c == &environment && linkerFlag.text != "" {
		text += fmt.Sprintf("; %v is overridden by GALLOC", &linkerFlag)
	}
	if text := os.Getenv("GALLOC"); text != "" && environment.text == "" && !isExecutable(buildMode()) {
		return fmt.Sprintf("; GALLOC=%s has no effect: this is not an executable", setting.Printable(text))
	}
	return text
}

// parse reads c.text and sets the rest of c.
func (c *choice) parse() error {
	if c.text == "" {
		return nil
	}
	name, options, given := strings.Cut(c.text, ",")
	switch name {
	case "heap":
		c.alloc = defaultHeap{}
	case "system":
		c.alloc = System
	case "debug":
		c.debug = new(memcheck.Settings)
	case "jemalloc", "mimalloc":
		c.named = named_jemalloc
		if name == "mimalloc" {
			c.named = named_mimalloc
		}
		if c.named == nil {
			return fmt.Errorf("%s is not in this program: import %s/%[1]s, and build with cgo and -tags galloc_%[1]s",
				name, packagePath)
		}
	default:
		return fmt.Errorf("no such allocator: known are %s", known())
	}
	switch {
	case !given:
		return nil
	case name != "heap" && name != "debug":
		return fmt.Errorf("%s has no options: write %[1]s alone", name)
	case options == "":
		return fmt.Errorf("there is no option after the comma: write %s alone, or an option", name)
	case name == "heap":
		return c.values.parse(options)
	}
	s, err := memcheck.Parse(options)
	c.debug = &s
	return err
}

// known lists the allocators that parse knows in this program.
func known() string {
	text := "heap (options " + setting.List(new(heapValues).options()) + "), debug, system"
	if named_jemalloc != nil {
		text += ", jemalloc"
	}
	if named_mimalloc != nil {
		text += ", mimalloc"
	}
	return text
}

// heapValues are the options of the heap of the process.
type heapValues struct {
	given      bool
	config     engine.Config
	soft, hard uintptr // limits in bytes; 0 is none
}

// options returns the options of heap: the fields of package heap's Options that are not functions.
func (v *heapValues) options() []setting.Option {
	decay := &v.config.Decay
	setDecay := setting.Or(setting.Duration(decay, engine.MinDecay), decay, "never", -1)
	return []setting.Option{
		{Name: "limit", Form: "SIZE", Set: setting.Size(&v.hard, engine.MinLimit)},
		{Name: "softlimit", Form: "SIZE", Set: setting.Size(&v.soft, engine.MinLimit)},
		{Name: "decay", Form: "DURATION|never", Set: setDecay},
		{Name: "purge", Form: "now|lazy", Set: setting.Bool(&v.config.Lazy, "now", "lazy")},
		{Name: "hugepages", Form: "off|on", Set: setting.Bool(&v.config.Huge, "off", "on")},
		{Name: "overcommit", Form: "off|on", Set: setting.Bool(&v.config.Overcommit, "off", "on")},
		{Name: "checked", Form: "off|on", Set: setting.Bool(&v.config.Checked, "off", "on")},
	}
}

func (v *heapValues) parse(options string) error {
	v.given = true
	if err := setting.Parse(options, v.options()); err != nil {
		return err
	}
	if v.hard != 0 && v.soft > v.hard {
		return errors.New("softlimit exceeds limit, and would never be reached: write a smaller one")
	}
	return nil
}

// configure configures the heap of the process, which must not have been used.
func (v *heapValues) configure() {
	if v.given {
		engine.ConfigureDefault(v.config, v.soft, v.hard)
	}
}
