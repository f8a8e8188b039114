package wazero

import "github.com/galloc-go/galloc/internal/vm"

// ReleaseSpares releases the address space of freed memories.
func ReleaseSpares() error {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	for log, bases := range spares.bases {
		for _, base := range bases {
			if err := vm.Release(base, 1<<log+guardSize); err != nil {
				return err
			}
		}
		spares.bases[log] = nil
	}
	return nil
}
