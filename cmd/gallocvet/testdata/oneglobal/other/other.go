// Package other leads to a registration.
package other

import _ "example.com/vet/oneglobal/otherdeep"
