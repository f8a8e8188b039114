package memcheck

// LimitStacks sets the maximum number of stacks in each bucket of the table.
func (c *Checker) LimitStacks(n int) { c.stacks.SetMax(n) }

// KnownStacks returns the number of stacks in the table.
func (c *Checker) KnownStacks() int { return c.stacks.Len() }
