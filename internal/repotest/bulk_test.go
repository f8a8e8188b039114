package repotest

import (
	"go/ast"
	"slices"
	"testing"
)

// bulk lists what may copy or clear memory with a built-in function, because there is little of it:
// the file, or the file and the function, and what bounds it. The runtime cannot preempt such a
// call, so memory of any length goes through block.Copy and block.Clear.
var bulk = map[string]string{
	"alloc.go allocZeroedSlow":            "a small block",
	"alloctest/":                          "a tool of tests",
	"collections/btree_change.go":         "a node",
	"collections/btree_node.go":           "a node",
	"collections/btree_range.go":          "a node",
	"collections/map_iterate.go":          "the tables that iterators are in",
	"collections/store.go putText":        "a text of at most 64 KiB",
	"error.go printAllocError":            "a message",
	"internal/block/block.go copyChunk":   "a chunk",
	"internal/block/block.go clearChunk":  "a chunk",
	"internal/engine/cache.go":            "a magazine",
	"internal/engine/drain.go drain":      "the Ps",
	"internal/engine/fast.go":             "256 bytes",
	"internal/engine/heap.go AllocZeroed": "a small block",
	"internal/libc/libc_pages.go":         "a block of a class",
	"internal/percpu/table.go":            "the Ps",
	"internal/replay/":                    "a tool of measurements",
	"internal/workload/":                  "a tool of measurements",
	"internal/memcheck/check.go":          "a message",
	"internal/memcheck/pool.go":           "a queue on the Go heap, which append would copy as well",
	"internal/memcheck/quarantine.go":     "a map on the Go heap",
	"internal/memcheck/record.go":         "a pattern; a queue on the Go heap",
	"pool/slab.go extend":                 "64 bits or words",
	"tlsf/tlsf.go Reset":                  "the heads of the lists",
	"typed.go growArray":                  "a small block",
	"typed.go appendWithin":               "block.MaxBulk",
	"wrap/trace.go AfterReset":            "a map on the Go heap",
}

// No copy or clear of memory whose length has no bound is a single call.
func TestLongMemoryIsCopiedInPieces(t *testing.T) {
	files, hasBlocks, used := goFiles(t), map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if f.module == "" && !f.isTest() && f.syntax.Name.Name != "main" && slices.Contains(f.imports(), "unsafe") {
			hasBlocks[f.dir()] = true
		}
	}
	for _, f := range files {
		if f.isTest() || !hasBlocks[f.dir()] {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isBulk(call) {
					return true
				}
				for _, name := range []string{f.dir() + "/", f.path, f.path + " " + fn.Name.Name} {
					if bulk[name] != "" {
						used[name] = true
						return true
					}
				}
				t.Errorf("%s: %s: use block.Copy or block.Clear, or say in bulk what bounds the length", f.set.Position(n.Pos()),
					fn.Name.Name)
				return true
			})
		}
	}
	for name := range bulk {
		if !used[name] {
			t.Errorf("%s: bulk has no use of this", name)
		}
	}
}

// isBulk reports whether a call is of copy, of clear, or of append with all of a slice.
func isBulk(call *ast.CallExpr) bool {
	name, ok := call.Fun.(*ast.Ident)
	return ok && (name.Name == "copy" || name.Name == "clear" || name.Name == "append" && call.Ellipsis.IsValid())
}
