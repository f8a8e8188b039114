// Package usessystem is a library that selects.
package usessystem

import _ "github.com/galloc-go/galloc/global/system"
