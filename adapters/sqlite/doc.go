// Package sqlite is empty: it holds the tests of modernc.org/sqlite on galloc. SQLite takes its
// memory from modernc.org/libc, and that from the module modernc.org/memory, which the folder
// memory replaces. The README says how.
package sqlite
