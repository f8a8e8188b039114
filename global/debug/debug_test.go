package debug_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/debug"
)

func TestImportFindsMistakes(t *testing.T) {
	l := galloc.LayoutOf[int64]()
	if os.Getenv("GALLOC_TEST_CHILD") != "" {
		p := galloc.Alloc(l)
		*(*byte)(unsafe.Add(p, 8)) = 1
		galloc.Dealloc(p, l)
		return
	}
	galloc.Dealloc(galloc.Alloc(l), l)
	if name := galloc.GlobalName(); !strings.HasPrefix(name, "debug(galloc heap), selected by the import of github.com/galloc-go/galloc/global/debug") {
		t.Errorf("the global allocator is %s", name)
	}
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	cmd := exec.Command(galloc.Must(os.Executable()), "-test.run=^TestImportFindsMistakes$")
	cmd.Env = append(os.Environ(), "GALLOC_TEST_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "galloc: overflow: 1 byte was written, 0 bytes past the end of the 8-byte block") {
		t.Errorf("it ends with %v:\n%s", err, out)
	}
}
