package procmem_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc/procmem"
)

func TestSystemsWithoutFigures(t *testing.T) {
	if runtime.GOOS == "linux" || runtime.GOOS == "android" {
		t.Skip("this system has the figures")
	}
	if _, err := procmem.Read(); !errors.Is(err, procmem.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := procmem.ReadProcess(1); !errors.Is(err, procmem.ErrUnsupported) {
		t.Error(err)
	}
}

func sample() *procmem.Snapshot {
	s := &procmem.Snapshot{Time: time.Unix(1, 0).UTC(), PID: 7, Allocator: "heap"}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(uint64(i) * 1_000_000)
		}
	}
	s.MappedFiles, s.Resident = 0, 0
	s.Sites = []procmem.Site{{Place: "main.load /src/main.go:12", Bytes: 6_500_000}}
	for _, p := range s.Parts() {
		s.Resident += p.Bytes
	}
	return s
}

func TestTable(t *testing.T) {
	const want = `Go heap in use               4.00 MB   3.4 %
Go heap free                 5.00 MB   4.3 %
Go stacks                    6.00 MB   5.1 %
Go runtime                   7.00 MB   6.0 %
galloc live                  8.00 MB   6.8 %
                6.50 MB  main.load /src/main.go:12
galloc cached                9.00 MB   7.7 %
galloc free                 10.00 MB   8.5 %
galloc metadata             11.00 MB   9.4 %
galloc other heaps          12.00 MB  10.3 %
code and data               14.00 MB  12.0 %
C and the rest              15.00 MB  12.8 %
anonymous                   16.00 MB  13.7 %
resident                   117.00 MB 100.0 %
`
	got := sample().String()
	if got != want {
		t.Errorf("the table is\n%s", got)
	}
	s := &procmem.Snapshot{GallocLive: 1, Resident: 1, Sites: make([]procmem.Site, 12)}
	if got := s.String(); !strings.Contains(got, "and 2 more sites") {
		t.Errorf("the table is\n%s", got)
	}
}

// Parse reads a snapshot as it was written, and refuses a damaged one.
func TestParse(t *testing.T) {
	s := sample()
	var b bytes.Buffer
	if n, err := s.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Errorf("%d bytes: %v", n, err)
	}
	got, err := procmem.Parse(b.Bytes())
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "null", "{}", "[]", `{"time":"yesterday"}`, b.String()[:b.Len()/2],
		strings.Replace(b.String(), `"code": 14000000`, `"code": 14000001`, 1),
		strings.Replace(b.String(), `"code": 14000000`, `"code": 18446744073709551615`, 1),
		strings.Replace(b.String(), `"code": 14000000`, `"code": -1`, 1),
	} {
		if s, err := procmem.Parse([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "galloc/procmem: ") {
			t.Errorf("%.60s: %v, %v", bad, s, err)
		}
	}
}
