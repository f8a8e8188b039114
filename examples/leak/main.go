// Command leak forgets to free a block. The debug allocator says which one:
//
//	GALLOC=debug go run ./examples/leak
//
// Without GALLOC=debug the report is empty, and costs nothing.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/memcheck"
)

type session struct{ user, expires uint64 }

func main() {
	defer memcheck.Global().ReportLeaks(os.Stderr)

	for user := range uint64(3) {
		if err := serve(user); err != nil {
			fmt.Println(err)
		}
	}
}

func serve(user uint64) error {
	s, err := galloc.New[session](nil) //galloc:ignore leak the example shows how it is found
	if err != nil {
		return err
	}
	s.user, s.expires = user, 60
	if user == 1 {
		return errors.New("user 1 is not welcome") // the mistake: s is not freed
	}
	galloc.Free(nil, s) // the cure: defer it directly after New
	return nil
}
