// Package traces holds allocation traces of real programs, for package trace to replay.
//
//	sqlite   the sqlite3 3.40 shell: inserts, an index, json, vacuum; the whole run
//	mariadb  mariadbd 10.11: its start and 16 clients; the first 2 million events of 34 threads
//
// Each was recorded as the sequence of the program's calls of the malloc family, in one
// order, while it did real work. The data come with the repository, and in any program
// that imports this package.
package traces

import (
	"embed"
	"io/fs"
)

//go:embed *.trace.gz
var files embed.FS

// Files returns the traces: files named NAME.trace.gz, in the format that package trace
// reads.
func Files() fs.FS { return files }
