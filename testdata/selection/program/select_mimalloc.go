//go:build mimalloc

package main

import _ "github.com/galloc-go/galloc/global/mimalloc"
