//go:build system

package main

import _ "github.com/galloc-go/galloc/global/system"
