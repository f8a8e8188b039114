// Command link uses every package of the module, so that linking it for a platform, with the
// compiler's flags that debuggers and coverage need, shows that a program that uses them links
// there: see .ci/link. The linker refuses a program whose functions marked go:nosplit need too much
// stack together, which depends on what the compiler inlines.
package main

import (
	"fmt"
	"os"
	"reflect"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/buddy"
	"github.com/galloc-go/galloc/bufpool"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/cache"
	_ "github.com/galloc-go/galloc/capi"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/fixed"
	"github.com/galloc-go/galloc/freelist"
	"github.com/galloc-go/galloc/global/stats"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/heapprof/handler"
	"github.com/galloc-go/galloc/heapview"
	"github.com/galloc-go/galloc/jemalloc"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/memlimit"
	"github.com/galloc-go/galloc/memtest"
	"github.com/galloc-go/galloc/metrics"
	"github.com/galloc-go/galloc/mimalloc"
	"github.com/galloc-go/galloc/pool"
	"github.com/galloc-go/galloc/procmem"
	procmemhandler "github.com/galloc-go/galloc/procmem/handler"
	"github.com/galloc-go/galloc/tlsf"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

// used are functions, and values of the types whose methods no function here returns.
var used = []any{
	galloc.Alloc, galloc.AllocZeroed, galloc.Dealloc, galloc.Realloc, galloc.RegisterGlobal,
	galloc.DefaultAllocZeroed, galloc.DefaultRealloc, galloc.DescribeGlobal, galloc.ReadStats,
	galloc.AllocateTyped, galloc.AllocateZeroed, galloc.Grow, galloc.GrowZeroed, galloc.Shrink,
	galloc.Resize, galloc.UsableSize, galloc.Owns, galloc.Reset, galloc.Equivalent,
	galloc.HoldsPointers, galloc.GarbageCollected, galloc.HandleAllocError, galloc.SetAllocErrorHook,
	galloc.AsAllocator, galloc.AsGlobal, galloc.NewLayout, galloc.StructLayout,
	galloc.LayoutOfValue, galloc.LayoutOf[int], galloc.ArrayLayout[int],
	galloc.New[int], galloc.NewUninit[int], galloc.Free[int], galloc.MakeSlice[int],
	galloc.MakeSliceCap[int], galloc.AppendSlice[int], galloc.GrowSlice[int], galloc.FreeSlice[int],
	galloc.NewBox[int], galloc.NewManaged[int], galloc.Manage[int], galloc.Must[int], galloc.Global, galloc.GoHeap, galloc.System, galloc.Null,
	galloc.AsGlobal(galloc.Global), galloc.AsAllocator(galloc.Global), &galloc.Selection{},

	alloctest.Check, alloctest.CheckFailures,
	alloctest.FailureCheck{},
	alloctest.Fuzz, alloctest.Run,
	alloctest.RunGlobal,
	alloctest.Ops, alloctest.NoAlloc, alloctest.Track, alloctest.Fail, alloctest.NewModel,
	alloctest.After, alloctest.At, alloctest.Randomly, alloctest.Sizes,

	bufpool.New, bufpool.NewScope, bufpool.NewSlices, bufpool.Get, bufpool.TryGet, bufpool.Put, bufpool.Default, &bufpool.Misuse{},

	buddy.New, bump.New, fixed.New, fixed.Resume, fixed.NewShared, fixed.ResumeShared, freelist.New,
	pool.New, pool.NewOf[int], tlsf.New, heap.New, heap.Default,

	jemalloc.Control, jemalloc.DumpProfile, jemalloc.Purge, jemalloc.ReadStats, jemalloc.Version,
	jemalloc.ReadControl[uint64], jemalloc.WriteControl[uint64],
	jemalloc.Binding{},
	mimalloc.Collect, mimalloc.Version, mimalloc.ReadProcessInfo,
	mimalloc.Binding{},

	heapprof.New, handler.New, heapview.New, memcheck.New, memcheck.Global, memlimit.Start,
	memlimit.SystemLimit, memlimit.Available, memlimit.Retry[int], memtest.Run, memtest.RunOn, metrics.All,
	metrics.Read, metrics.ReadSnapshot, procmem.Read, procmem.ReadProcess, procmem.Parse, procmemhandler.New,
	metrics.Value{},
	&metrics.Class{}, stats.During, stats.Snapshot,

	trace.CheckLayout, trace.Open, trace.NewReader, trace.Create, trace.NewWriter, &trace.Checker{},

	wrap.Stats, wrap.Tag, wrap.Tags, wrap.Limit, wrap.Lock, wrap.Fallback, wrap.Segregate,
	wrap.StackFallback, wrap.Trace, wrap.Find[galloc.Resetter],

	cache.NewText, cache.New[int, int], cache.Evicted,

	collections.NewArc[int], collections.NewRc[int], collections.NewString,
	collections.NewBTree[int, int], collections.CollectBTree[int, int],
	collections.NewBTreeFunc[int, int], collections.CollectBTreeFunc[int, int],
	collections.NewBytes, collections.MakeBytes,
	collections.NewDeque[int], collections.MakeDeque[int], collections.CollectDeque[int],
	collections.NewInterner, collections.MakeInterner,
	collections.NewLinkedMap[int, int], collections.MakeLinkedMap[int, int], collections.CollectLinkedMap[int, int],
	collections.MakeArray[int], collections.CollectArray[int],
	collections.NewPtr[int], collections.PtrTo[int], collections.NewSlice[int], collections.SliceTo[int],
	collections.NewMap[int, int], collections.MakeMap[int, int], collections.CollectMap[int, int],
	collections.NewSet[int], collections.MakeSet[int], collections.CollectSet[int],
	collections.NewSlab[int], collections.MakeSlab[int],
	collections.NewStringMap[int], collections.MakeStringMap[int], collections.CollectStringMap[int],
	collections.NewTextMap, collections.MakeTextMap, collections.CollectTextMap,
	collections.NewVec[int], collections.MakeVec[int], collections.CollectVec[int],
}

func main() {
	// For a program that calls methods by numbers that it computes, the linker keeps all exported
	// methods of all types that the functions use.
	for _, v := range used {
		t := reflect.TypeOf(v)
		fmt.Println(t)
		for i := range t.NumMethod() {
			fmt.Println("\t", t.Method(i).Name)
		}
	}
	os.Exit(0)
}
