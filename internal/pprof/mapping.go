package pprof

import (
	"debug/elf"
	"encoding/hex"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// A mapping is a part of a file that is mapped as code.
type mapping struct {
	start, limit, offset uint64
	file, buildID        string
}

// readMappings returns the mappings of the program with code. Where the system does not report
// them, it returns one of all addresses, since a location without a mapping looks unknown to pprof.
func readMappings() []mapping {
	var all []mapping
	if runtime.GOOS == "linux" || runtime.GOOS == "android" {
		text, err := os.ReadFile("/proc/self/maps")
		if err == nil {
			all = parseMappings(string(text))
		}
	}
	for i := range all {
		all[i].buildID = buildID(all[i].file)
	}
	if len(all) == 0 {
		file, _ := os.Executable()
		all = []mapping{{limit: 1<<64 - 1, file: file}}
	}
	return all
}

// parseMappings reads lines such as
//
//	00400000-0049e000 r-xp 00001000 fd:01 12345  /usr/bin/program
func parseMappings(text string) (all []mapping) {
	for line := range strings.Lines(text) {
		var f [6]string // the last is the name, which may contain spaces
		rest := strings.TrimRight(line, "\n")
		for i := range f[:5] {
			f[i], rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
		}
		f[5] = strings.TrimSuffix(strings.TrimLeft(rest, " "), " (deleted)")
		low, high, ok := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(low, 16, 64)
		limit, err2 := strconv.ParseUint(high, 16, 64)
		offset, err3 := strconv.ParseUint(f[2], 16, 64)
		if !ok || err1 != nil || err2 != nil || err3 != nil || !strings.Contains(f[1], "x") {
			continue
		}
		if f[5] == "" || strings.HasPrefix(f[5], "[vsyscall]") {
			continue
		}
		all = append(all, mapping{start: start, limit: limit, offset: offset, file: f[5]})
	}
	return all
}

var buildIDs sync.Map // string by file

// buildID returns the build ID of an ELF file: GNU's in hexadecimal digits, or else Go's, or "".
func buildID(file string) string {
	if id, ok := buildIDs.Load(file); ok {
		return id.(string)
	}
	id := readBuildID(file)
	buildIDs.Store(file, id)
	return id
}

func readBuildID(file string) string {
	if !strings.HasPrefix(file, "/") { // [vdso]
		return ""
	}
	f, err := elf.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for _, section := range []struct {
		name string
		kind uint32
		text func([]byte) string
	}{
		{".note.gnu.build-id", 3, hex.EncodeToString},
		{".note.go.buildid", 4, func(b []byte) string { return string(b) }},
	} {
		s := f.Section(section.name)
		if s == nil {
			continue
		}
		data, err := s.Data()
		// A note is the lengths of its name and description, its type, and both, each padded to 4
		// bytes.
		if err != nil || len(data) < 12 {
			continue
		}
		name := (uint64(f.ByteOrder.Uint32(data)) + 3) &^ 3
		n := uint64(f.ByteOrder.Uint32(data[4:]))
		if f.ByteOrder.Uint32(data[8:]) == section.kind && 12+name+n <= uint64(len(data)) {
			return section.text(data[12+name : 12+name+n])
		}
	}
	return ""
}
