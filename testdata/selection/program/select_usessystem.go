//go:build usessystem

package main

import _ "github.com/galloc-go/galloc/testdata/selection/usessystem"
