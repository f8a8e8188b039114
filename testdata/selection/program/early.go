//go:build early

package main

import (
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/testdata/selection/aaa"
	"github.com/galloc-go/galloc/testdata/selection/zzz"
)

func init() {
	blocks = append(blocks,
		func() { galloc.Dealloc(aaa.Block, aaa.Layout) },
		func() { galloc.Dealloc(zzz.Block, zzz.Layout) })
}
