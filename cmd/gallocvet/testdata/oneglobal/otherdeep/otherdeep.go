// Package otherdeep leads to a registration.
package otherdeep

import _ "example.com/vet/oneglobal/first"
