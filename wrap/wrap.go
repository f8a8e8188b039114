// Package wrap adds one thing at a time to an allocator.
package wrap
