// Package setup2 calls package setup.
package setup2

import "example.com/vet/oneglobal/setup"

// Begin registers.
func Begin() { setup.Register() }
