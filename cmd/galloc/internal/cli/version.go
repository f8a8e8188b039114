package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is galloc version. It prints one line in the form of go version's.
func version(stdout io.Writer) error {
	of := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		of = info.Main.Version
	}
	_, err := fmt.Fprintf(stdout, "galloc version %s %s %s/%s\n", of, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return Printed(err)
}
