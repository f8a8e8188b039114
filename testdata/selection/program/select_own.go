//go:build own

package main

import _ "github.com/galloc-go/galloc/testdata/selection/mmm"
