package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// machine is the computer on which the figures were measured.
type machine struct {
	CPU    string
	CPUs   int
	Memory string
	System string
}

func thisMachine(cpus int) machine {
	m := machine{CPU: runtime.GOARCH, CPUs: cpus, System: runtime.GOOS + "/" + runtime.GOARCH}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = field(string(text), "model name", m.CPU)
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = field(string(text), "MemTotal", "")
		if kib, err := strconv.ParseUint(strings.TrimSuffix(m.Memory, " kB"), 10, 64); err == nil {
			m.Memory = fmt.Sprintf("%.1f GB", float64(kib)*1024/1e9)
		}
	}
	if out, err := exec.Command("uname", "-sr").Output(); err == nil {
		m.System = strings.TrimSpace(string(out)) + ", " + m.System
	}
	return m
}

// field returns the value of the first line "name: value", or otherwise.
func field(text, name, otherwise string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// libraries are the native libraries, by allocator.
var libraries = map[string]struct{ file, debian string }{
	"jemalloc": {"libjemalloc.so.2", "libjemalloc2"},
	"mimalloc": {"libmimalloc.so.2", "libmimalloc2.0"},
	"tcmalloc": {"libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"},
}

// findLibrary returns the path of a shared library, from the output of ldconfig -p or in the usual
// folders, or "".
func findLibrary(file, cache string) string {
	for line := range strings.Lines(cache) {
		name, path, found := strings.Cut(strings.TrimSpace(line), " => ")
		if found && strings.HasPrefix(name, file+" ") && exists(path) && !foreign(name) {
			return path
		}
	}
	for _, pattern := range []string{"/usr/lib/*/", "/usr/lib64/", "/usr/lib/", "/usr/local/lib/"} {
		if paths, _ := filepath.Glob(pattern + file); len(paths) > 0 {
			return paths[0]
		}
	}
	return ""
}

// foreign reports whether a line of ldconfig -p is about a library of another architecture, such as
// a 32-bit one.
func foreign(name string) bool {
	flags := map[string]string{"amd64": "x86-64", "arm64": "AArch64"}
	flag, known := flags[runtime.GOARCH]
	return known && !strings.Contains(name, flag)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func libraryCache() string {
	for _, program := range []string{"ldconfig", "/sbin/ldconfig"} {
		if out, err := exec.Command(program, "-p").Output(); err == nil {
			return string(out)
		}
	}
	return ""
}

// firstLine returns the first line of a command's output, or "".
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// versions returns the versions of the compilers. The allocators' versions are in their answers.
func versions() []string {
	list := []string{firstLine("go", "version"), firstLine("gcc", "--version")}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}
