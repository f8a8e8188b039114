package cli

import (
	"bytes"
	"os"
	"path"
	"strconv"
)

// available returns the bytes of memory and swap that the kernel estimates a process can get, at
// most the limit of the control group of this process.
func available() (n uint64, known bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		kb, err := strconv.ParseUint(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
		switch string(key) {
		case "MemAvailable":
			known = err == nil
			n += kb << 10
		case "SwapFree":
			n += kb << 10
		}
	}
	if limit, ok := groupLimit(); ok {
		n = min(n, limit)
	}
	return n, known
}

// groupLimit returns the least memory limit of the control groups, of version 2, that this process
// is in.
func groupLimit() (least uint64, limited bool) {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range bytes.Lines(text) {
		group, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("0::/"))
		if !ok {
			continue
		}
		for dir := "/" + string(group); ; dir = path.Dir(dir) {
			value, _ := os.ReadFile("/sys/fs/cgroup" + dir + "/memory.max")
			if n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64); err == nil {
				if !limited || n < least {
					least, limited = n, true
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return least, limited
}
