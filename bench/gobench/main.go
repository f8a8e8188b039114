// Command gobench runs one workload of bench/WORKLOADS.md on one allocator, and answers in one line
// of JSON:
//
//	gobench ALLOCATOR NAME [key=value...]
//	gobench dump file=TRACE out=FILE [threads=0|1]
//
// The keys are the parameters of the workload, and cpus=N, which confines the process to N CPUs.
// The allocators are listed in bench/internal/peers. In addition, new is pair and batch with new(T)
// instead of an allocator: see new.go. make versus starts it once per measurement. dump compiles a
// trace to the program that the workload trace replays.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/bench/internal/cpus"
	"github.com/galloc-go/galloc/bench/internal/peers"
	"github.com/galloc-go/galloc/internal/workload"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout))
}

// run returns the exit status.
func run(args []string, stdout io.Writer) int {
	answer, err := measure(args)
	if err != nil {
		answer = struct {
			Error string `json:"error"`
		}{strings.TrimPrefix(err.Error(), "galloc: ")}
	}
	if e := json.NewEncoder(stdout).Encode(answer); err != nil || e != nil {
		return 1
	}
	return 0
}

// measure returns the answer.
func measure(args []string) (any, error) {
	if len(args) > 0 && args[0] == dumpName {
		return dump(args[1:])
	}
	if len(args) < 2 {
		return nil, errors.New(
			"usage: gobench ALLOCATOR NAME [key=value...]; the allocators are " + strings.Join(names(), ", "))
	}
	allocator, name := args[0], args[1]
	settings, bound, err := take(args[2:], "cpus")
	if err != nil {
		return nil, err
	}
	if bound > 0 {
		if err := cpus.BindProcess(bound); err != nil {
			return nil, err
		}
	}
	if allocator == newName {
		return runNew(name, settings)
	}
	if name == traceName {
		return runTrace(allocator, settings)
	}
	need, err := needOf(name, settings)
	if err != nil {
		return nil, err
	}
	a, err := peers.Open(allocator, need)
	if err != nil {
		return nil, err
	}
	workload.Register(a)
	result, err := workload.Run(name, settings, func(float64) {})
	if err != nil {
		return nil, err
	}
	return answerOf(result, nil), nil
}

func names() []string {
	all := []string{newName}
	for _, p := range peers.All() {
		all = append(all, p.Name)
	}
	slices.Sort(all)
	return all
}

// take removes the key from the settings. Its value is a positive number, or 0 if the key is
// missing.
func take(settings []string, key string) (others []string, value int, err error) {
	for _, s := range settings {
		v, found := strings.CutPrefix(s, key+"=")
		if !found {
			others = append(others, s)
			continue
		}
		if value, err = strconv.Atoi(v); err != nil || value < 1 {
			return nil, 0, fmt.Errorf("%s: the value must be a positive number", s)
		}
	}
	return others, value, nil
}

// singleSize has the workloads whose blocks all have one size, with its default.
var singleSize = map[string]uint64{"pair": 64, "batch": 64, "xmalloc-test": 64}

// needOf returns the Need of the workload.
func needOf(name string, settings []string) (peers.Need, error) {
	need := peers.Need{MaxSize: 1 << 30}
	size, single := singleSize[name]
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		if key == "size" && single {
			n, err := strconv.ParseUint(value, 10, 40)
			if err != nil {
				return need, fmt.Errorf("%s: the value must be a number of bytes", s)
			}
			size = n
		}
	}
	need.Size = uintptr(size)
	return need, nil
}
