//go:build heap

package main

import _ "github.com/galloc-go/galloc/global/heap"
