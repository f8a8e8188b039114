// Package external has its tests in another package.
package external

import _ "example.com/vet/oneglobal/deep"

// Value is tested.
const Value = 1
