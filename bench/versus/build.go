package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// build builds the programs in the directory dir and sets each allocator's program, library and
// missing. An error means that nothing can be measured. The working directory is the root of the
// repository.
func build(ctx context.Context, dir string, allocs []*allocator) (native string, err error) {
	native = filepath.Join(dir, "native")
	_, ccErr := command(ctx, "make", "-s", "-C", "bench/native", "OUT="+dir)
	gobench := filepath.Join(dir, "gobench")
	if _, err := command(ctx, "go", "-C", "bench", "build", "-o", gobench, "./gobench"); err != nil {
		return "", err
	}
	jemalloc := filepath.Join(dir, "gobench-jemalloc")
	var jemallocErr error
	if slices.ContainsFunc(allocs, func(a *allocator) bool { return a.Name == "cgo-jemalloc" }) {
		_, jemallocErr = command(ctx, "go", "-C", "bench", "build", "-tags", "galloc_jemalloc", "-o", jemalloc,
			"./gobench")
	}
	cache := libraryCache()
	for _, a := range allocs {
		a.program = gobench
		lib, listed := libraries[a.Name]
		switch {
		case (a.Native || a.C) && ccErr != nil:
			a.missing = "bench/native cannot be built (Debian: gcc, make, libc6-dev): " + lastLine(ccErr)
		case a.Name == "cgo-jemalloc":
			a.program = jemalloc
			if jemallocErr != nil {
				a.missing = "gobench cannot be linked with jemalloc (Debian: libjemalloc-dev): " + lastLine(jemallocErr)
			}
		case listed:
			if a.library = findLibrary(lib.file, cache); a.library == "" {
				a.missing = lib.file + " is not installed (Debian: " + lib.debian + ")"
			}
		}
	}
	return native, nil
}

func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// command runs a command and returns its stdout. The error has its stdout and stderr.
func command(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, append(out, exit.Stderr...))
	}
	return out, err
}

const traceEnding = ".trace.gz"

// traceRows compiles the traces in the folders, each for one thread and, unless quick, for its
// threads if it has several, and returns their rows.
func traceRows(ctx context.Context, dir, gobench string, folders []string, cpus int, quick bool) ([]row, error) {
	seen := map[string]bool{}
	kinds := 1
	if cpus > 1 && !quick {
		kinds = 2
	}
	var single, faces, threaded []row
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*"+traceEnding))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("%s: no files *%s there", folder, traceEnding)
		}
		for _, path := range paths {
			name := strings.TrimSuffix(filepath.Base(path), traceEnding)
			if seen[name] {
				continue
			}
			seen[name] = true
			for threads := range kinds {
				program := filepath.Join(dir, fmt.Sprintf("%s-%d.program", name, threads))
				args := []string{"dump", "file=" + path, "out=" + program, fmt.Sprintf("threads=%d", threads)}
				if _, err := command(ctx, gobench, args...); err != nil {
					return nil, err
				}
				n, err := threadsOf(program)
				switch {
				case err != nil:
					return nil, err
				case threads == 0:
					r := traceRow(name, program, 1, cpus, quick)
					single = append(single, r)
					if !quick {
						faces = append(faces, r.faceRows()...)
					}
				case n > 1:
					threaded = append(threaded, traceRow(name, program, n, cpus, quick))
				}
			}
		}
	}
	return slices.Concat(single, faces, threaded), nil
}

// threadsOf returns the number of threads of a program file.
func threadsOf(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return int(binary.LittleEndian.Uint32(head[16:])), nil
}
