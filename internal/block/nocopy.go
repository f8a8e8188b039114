package block

// NoCopy makes go vet report copies of a struct that contains it. It takes no space as the first
// field.
type NoCopy struct{}

// Lock does nothing. It and Unlock are what go vet looks for.
func (*NoCopy) Lock() {}

// Unlock does nothing.
func (*NoCopy) Unlock() {}
