package pprof

import (
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestParseMappings(t *testing.T) {
	const text = `00400000-0049e000 r-xp 00001000 fd:01 12345                            /home/a b/program (deleted)
0049e000-00551000 r--p 0009e000 fd:01 12345                              /home/a b/program
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7ffd1000-7ffd2000 r-xp 00000000 00:00 0                                  [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
rubbish
`
	want := []mapping{
		{start: 0x400000, limit: 0x49e000, offset: 0x1000, file: "/home/a b/program"},
		{start: 0x7ffd1000, limit: 0x7ffd2000, file: "[vdso]"},
	}
	if got := parseMappings(text); !reflect.DeepEqual(got, want) {
		t.Errorf("the mappings are %+v, not %+v", got, want)
	}
}

// The build ID of this test is the one that the Go command reports, unless the linker of C has
// added another.
func TestBuildID(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("programs are no ELF files here")
	}
	id := readBuildID(os.Args[0])
	if out, err := exec.Command("go", "tool", "buildid", os.Args[0]).Output(); err == nil &&
		strings.Contains(id, "/") && id != strings.TrimSpace(string(out)) {
		t.Errorf("the build ID is %q, not %q", id, out)
	}
	if id == "" {
		t.Error("there is no build ID")
	}
	if id := readBuildID("/does/not/exist"); id != "" {
		t.Errorf("a missing file has build ID %q", id)
	}
}
