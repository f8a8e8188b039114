// Package deeper imports a package that imports one that registers.
package deeper

import _ "example.com/vet/oneglobal/deep"
