//go:build usesheap

package main

import _ "github.com/galloc-go/galloc/testdata/selection/usesheap"
