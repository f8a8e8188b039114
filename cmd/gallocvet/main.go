// Command gallocvet reports misuse of off-heap and pooled memory in Go programs.
//
//	gallocvet [-format text|json|sarif] [flags of go vet] [packages]
//	gallocvet -fix [-diff] [packages]
//	go vet -vettool=$(which gallocvet) [packages]
//
// It is a tool for "go vet", and by itself runs "go vet" with itself as the tool, so that results
// are cached. The README describes the rules and the configuration. The exit status is 0 without
// findings, 1 with findings, and 2 if a package could not be checked.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/output"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/unit"
	"github.com/galloc-go/galloc/cmd/gallocvet/rules"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	if slices.Contains(os.Args[1:], "-V=full") {
		version(os.Stdout)
		os.Exit(0)
	}
	if asTool(os.Args[1:]) {
		debug.SetGCPercent(400) // the process is short
		if analyzers, name, ok := parse(os.Args[1:]); ok {
			os.Exit(unit.Run(name, analyzers, os.Stdout, os.Stderr))
		}
		unitchecker.Main(rules.All()...) // does not return
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// asTool reports whether "go vet" has called the program.
func asTool(args []string) bool {
	for _, a := range args {
		if strings.HasPrefix(a, "-V=") || a == "-flags" || strings.HasSuffix(a, ".cfg") {
			return true
		}
	}
	return false
}

// parse returns the analyzers and the file of a call by "go vet" that asks for JSON: those with a
// flag -NAME, or all except those with -NAME=false. Calls that print or apply fixes, or ask for the
// flags, are for package unitchecker.
func parse(args []string) (analyzers []*analysis.Analyzer, name string, ok bool) {
	given := map[string]bool{}
	for _, a := range args {
		flag, value, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		on := value != "false"
		switch {
		case strings.HasSuffix(a, ".cfg") && name == "":
			name = a
		case flag == "json":
			ok = on
		case slices.ContainsFunc(rules.All(), func(r *analysis.Analyzer) bool { return r.Name == flag }):
			given[flag] = on
		default:
			return nil, "", false
		}
	}
	some := slices.Contains(slices.Collect(maps.Values(given)), true)
	for _, r := range rules.All() {
		if on, set := given[r.Name]; on || !some && !set {
			analyzers = append(analyzers, r)
		}
	}
	return analyzers, name, ok && name != ""
}

// version prints what go vet asks for: an identity of the program, which the results that it caches
// belong to. It includes the configuration files of the directory, above and below it.
func version(w io.Writer) {
	h := sha256.New()
	if self, err := os.Executable(); err == nil {
		if f, err := os.Open(self); err == nil {
			_, _ = io.Copy(h, f) // an error changes the identity, too
			f.Close()
		}
	}
	add := func(name string) {
		if text, err := os.ReadFile(name); err == nil {
			fmt.Fprintf(h, "\n%s\n%s", name, text)
		}
	}
	dir, err := os.Getwd()
	if err == nil {
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			switch base := filepath.Base(name); {
			case err != nil:
			case d.IsDir() && name != dir && (strings.HasPrefix(base, ".") || base == "vendor" || base == "node_modules"):
				return filepath.SkipDir
			case base == api.ConfigName:
				add(name)
			}
			return nil
		})
		for up := filepath.Dir(dir); up != dir; dir, up = up, filepath.Dir(up) {
			add(filepath.Join(up, api.ConfigName))
		}
	}
	fmt.Fprintf(w, "gallocvet version devel comments-go-here buildID=%02x\n", h.Sum(nil))
}

// run checks packages and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	format := "text"
	var rest []string
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		switch {
		case !strings.HasPrefix(args[i], "-"), name != "format" && name != "h" && name != "help":
			rest = append(rest, args[i])
		case name != "format":
			usage(stderr)
			return 2
		case given:
			format = value
		case i+1 < len(args):
			i++
			format = args[i]
		default:
			usage(stderr)
			return 2
		}
	}
	if format != "text" && format != "json" && format != "sarif" {
		fmt.Fprintf(stderr, "gallocvet: the format %q is not text, json or sarif\n", format)
		return 2
	}
	for _, a := range rest { // go vet changes the files, or prints the changes
		if a == "-fix" {
			return fix(rest, stdout, stderr)
		}
	}
	all, err := vet(rest)
	incomplete := err != nil
	if incomplete {
		fmt.Fprintln(stderr, err)
	}
	dir, err := os.Getwd()
	if err == nil {
		switch format {
		case "json":
			err = output.JSON(stdout, all)
		case "sarif":
			err = output.SARIF(stdout, dir, rules.All(), all)
		default:
			err = output.Text(stdout, dir, all)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	switch {
	case incomplete:
		return 2
	case len(all) > 0:
		return 1
	}
	return 0
}

// vet runs "go vet" with this program as the tool.
func vet(args []string) ([]output.Finding, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", append([]string{"vet", "-vettool=" + self, "-json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failed := cmd.Run()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		return nil, fmt.Errorf("gallocvet: %w", failed)
	}
	text := append(stdout.Bytes(), stderr.Bytes()...)
	all, err := output.Parse(text)
	if err == nil && failed != nil {
		err = fmt.Errorf("gallocvet: go vet: %w", failed)
	}
	return all, err
}

// fix lets "go vet" apply the suggested fixes, or print them, and returns its exit status.
func fix(args []string, stdout, stderr io.Writer) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	cmd := exec.Command("go", append([]string{"vet", "-vettool=" + self}, args...)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	return 0
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: gallocvet [-format text|json|sarif] [flags of go vet] [packages]\n       gallocvet -fix [-diff] [packages]\n\nThe rules, each of which can be run alone by -NAME or left out by -NAME=false:")
	for _, a := range rules.All() {
		fmt.Fprintf(w, "  %-12s %s\n", a.Name, a.Doc)
	}
}
