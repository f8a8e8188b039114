package procmem_test

import (
	"fmt"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/procmem"
)

func ExampleRead() {
	s := galloc.Must(procmem.Read()) // fails with ErrUnsupported on other systems
	var sum uint64
	for _, p := range s.Parts() {
		sum += p.Bytes
	}
	fmt.Println(sum == s.Resident, s.Code > 0)
	// Output: true true
}

func ExampleReadProcess() {
	s, err := procmem.ReadProcess(1 << 30)
	fmt.Println(s == nil, err)
	// Output: true galloc/procmem: open /proc/1073741824/smaps: no such file or directory
}
