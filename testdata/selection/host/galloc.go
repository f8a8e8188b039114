//go:build galloc

package main

import (
	"fmt"

	"github.com/galloc-go/galloc"
)

func init() { fmt.Println("host:", galloc.DescribeGlobal()) }
