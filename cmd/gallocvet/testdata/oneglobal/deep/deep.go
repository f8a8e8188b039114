// Package deep imports a package that registers.
package deep

import _ "example.com/vet/oneglobal/second"
