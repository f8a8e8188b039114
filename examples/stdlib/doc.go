// Package stdlib has recipes for the standard library on memory off the Go heap: the examples in
// its test files. All follow one rule: a package that takes a []byte, an io.Reader or an
// io.Writer takes memory of galloc too, and the caller frees it when the package has returned.
package stdlib
