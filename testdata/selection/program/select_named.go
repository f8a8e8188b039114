//go:build named

package main

import _ "github.com/galloc-go/galloc/testdata/selection/named"
