// Package traces holds allocation traces of real programs.
//
//	sqlite   the sqlite3 3.40 shell: inserts, an index, json, vacuum; the whole run
//	mariadb  mariadbd 10.11: its start and 16 clients; the first 2 million events of 34 threads
//
// Each is the sequence of the program's calls of the malloc family while it did real work. The data
// are embedded in programs that import this package.
package traces

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/trace"
)

//go:embed *.trace.gz
var files embed.FS

// Files returns the traces: files named NAME.trace.gz, in the format of package trace.
func Files() fs.FS { return files }

const ending = ".trace.gz"

// Names returns the names of the traces.
func Names() []string {
	names, err := fs.Glob(files, "*"+ending)
	if err != nil {
		panic("galloc: " + err.Error()) // the pattern is a constant
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], ending)
	}
	return names
}

// A Source is an open trace.
type Source interface {
	trace.Source
	io.Closer
}

// Open opens the trace with that name, or else the file with that path.
func Open(nameOrPath string) (Source, error) {
	if !slices.Contains(Names(), nameOrPath) {
		return trace.Open(nameOrPath)
	}
	f, err := files.Open(nameOrPath + ending)
	if err != nil {
		return nil, err
	}
	r, err := trace.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOrPath, err)
	}
	return struct {
		*trace.Reader
		io.Closer
	}{r, f}, nil
}
