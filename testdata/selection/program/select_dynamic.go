//go:build dynamic

package main

import _ "github.com/galloc-go/galloc/testdata/selection/dynamic"
