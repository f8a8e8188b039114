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
	"io/fs"
)

//go:embed *.trace.gz
var files embed.FS

// Files returns the traces: files named NAME.trace.gz, in the format of package trace.
func Files() fs.FS { return files }
