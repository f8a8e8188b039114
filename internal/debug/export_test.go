package debug

// LimitStacks has room for n stacks only in each shard of the table.
func (d *Debugger) LimitStacks(n int) { d.stacks.most = n }

// KnownStacks returns how many stacks are in the table.
func (d *Debugger) KnownStacks() (n int) {
	for i := range d.stacks.shards {
		n += len(d.stacks.shards[i].byHash)
	}
	return n
}
