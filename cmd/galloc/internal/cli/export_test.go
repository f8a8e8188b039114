package cli

// OnTerminal reports whether b writes anything.
func OnTerminal(b *Bar) bool { return b.w != nil }
