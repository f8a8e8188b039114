//go:build jemalloc

package main

import _ "github.com/galloc-go/galloc/global/jemalloc"
