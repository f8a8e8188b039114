// Package usesheap is a library that selects.
package usesheap

import _ "github.com/galloc-go/galloc/global/heap"
