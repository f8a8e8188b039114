package debug_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/debug"
)

func TestImportFindsMisuse(t *testing.T) {
	l := galloc.LayoutOf[int64]()
	if os.Getenv("GALLOC_TEST_CHILD") != "" {
		fmt.Println(galloc.DescribeGlobal())
		p := galloc.Alloc(l)
		*(*byte)(unsafe.Add(p, 8)) = 1
		galloc.Dealloc(p, l)
		return
	}
	galloc.Dealloc(galloc.Alloc(l), l)
	const want = "memcheck(galloc heap), selected by the import of github.com/galloc-go/galloc/global/debug"
	if name := galloc.DescribeGlobal(); !strings.HasPrefix(name, want) {
		t.Errorf("the global allocator is %s", name)
	}
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	for _, env := range []string{"GALLOC=", "GALLOC=debug,stackdepth=4", "GALLOC=debug,sample=1,guard=start"} {
		cmd := exec.Command(galloc.Must(os.Executable()), "-test.run=^TestImportFindsMisuse$")
		cmd.Env = append(os.Environ(), "GALLOC_TEST_CHILD=1", env)
		out, err := cmd.CombinedOutput()
		for _, want := range []string{
			"memcheck(galloc heap), ",
			"galloc: overflow: 1 byte was written, 0 bytes past the end of the 8-byte block",
		} {
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("%s: it ends with %v:\n%s", env, err, out)
			}
		}
	}
}
