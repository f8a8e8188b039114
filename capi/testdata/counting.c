// A host in C of the library counting: each call reaches the allocator in Go once, and leaves no
// garbage there.
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "../galloc.h"
#include "check.h"

struct counting_counts {
	uint64_t allocs, zeroed, reallocs, deallocs, refused, live_bytes;
};
extern void counting_read(struct counting_counts *to);
extern uint64_t counting_go_mallocs(void);
extern void counting_gc(void);

static struct counting_counts counts(void) {
	struct counting_counts c;
	counting_read(&c);
	return c;
}

static void expect(const char *what, uint64_t allocs, uint64_t zeroed, uint64_t reallocs, uint64_t deallocs, uint64_t refused, uint64_t live) {
	struct counting_counts c = counts();
	CHECK(c.allocs == allocs && c.zeroed == zeroed && c.reallocs == reallocs && c.deallocs == deallocs && c.refused == refused && c.live_bytes == live,
		"%s: %d %d %d %d %d, %d bytes", what, (int)c.allocs, (int)c.zeroed, (int)c.reallocs, (int)c.deallocs, (int)c.refused, (int)c.live_bytes);
}

// allocator-override of Rust's tests of 2015: the linked allocator is the one called, a box is one
// hit, and its end another.
static void override(void) {
	CHECK(strncmp(galloc_name(), "counting heap, registered at ", 29) == 0, "%s", galloc_name());
	expect("start", 0, 0, 0, 0, 0, 0);
	int *box = galloc_allocate(sizeof *box, _Alignof(int));
	*box = 4;
	expect("box", 1, 0, 0, 0, 0, 4);
	box = galloc_reallocate(box, 4, 400, _Alignof(int));
	CHECK(*box == 4);
	expect("reallocated", 1, 0, 1, 0, 0, 400);
	CHECK(galloc_reallocate_inplace(box, 400, 404, 4) == 400, "the allocator has no Resize");
	CHECK(galloc_usable_size(401, 4) == 401, "the allocator has no UsableSize");
	expect("asked", 1, 0, 1, 0, 0, 400);
	galloc_deallocate(box, 400, _Alignof(int));
	expect("end", 1, 0, 1, 1, 0, 0);
}

static void each_call_once(void) {
	void *p = galloc_alloc(10, 8), *q = galloc_alloc_zeroed(20, 8);
	expect("alloc", 1, 1, 0, 0, 0, 30);
	p = galloc_realloc(p, 10, 8, 1000);
	expect("realloc", 1, 1, 1, 0, 0, 1020);
	galloc_dealloc(p, 1000, 8);
	galloc_dealloc(q, 20, 8);
	expect("dealloc", 1, 1, 1, 2, 0, 0);

	// NULL, size 0 and invalid layouts do not reach the allocator.
	galloc_dealloc(NULL, 10, 8);
	p = galloc_alloc(0, 8);
	galloc_dealloc(p, 0, 8);
	CHECK(galloc_alloc(10, 3) == NULL && galloc_alloc_zeroed(SIZE_MAX, 1) == NULL);
	p = galloc_alloc(8, 8);
	galloc_dealloc(p, 8, 3);
	CHECK(galloc_realloc(p, 8, 8, SIZE_MAX) == NULL && galloc_realloc(p, 8, 3, 8) == NULL);
	expect("nothing", 2, 1, 1, 2, 0, 8);
	p = galloc_realloc(p, 8, 8, 0); // a dealloc
	p = galloc_realloc(p, 0, 8, 8); // an alloc
	galloc_dealloc(p, 8, 8);
	expect("size 0", 3, 1, 1, 4, 0, 0);
	CHECK(galloc_alloc(PTRDIFF_MAX / 2, 8) == NULL);
	expect("refused", 3, 1, 1, 4, 1, 0);
}

// No call puts anything on the Go heap, not even one that fails. The runtime itself allocates now
// and then, but not in every round.
static void no_garbage(void) {
	uint64_t least = UINT64_MAX;
	for (int round = 0; round < 10; round++) {
		uint64_t before = counting_go_mallocs();
		for (int i = 0; i < 20000; i++) {
			size_t size = 1 + (size_t)i % 5000;
			char *p = galloc_alloc(size, 8), *q = galloc_alloc_zeroed(size, 16);
			p = galloc_realloc(p, size, 8, size + 100);
			if (galloc_reallocate_inplace(p, size + 100, size + 101, 8) == size + 101 || galloc_usable_size(size, 8) < size) _exit(1);
			CHECK(galloc_alloc(8, 3) == NULL && galloc_alloc(PTRDIFF_MAX / 2, 8) == NULL);
			galloc_dealloc(p, size + 100, 8);
			galloc_dealloc(q, size, 16);
		}
		uint64_t n = counting_go_mallocs() - before;
		if (n < least) least = n;
	}
	CHECK(least == 0, "%d objects in a round of 20000", (int)least);
}

// The garbage collector does not touch blocks that only C refers to.
static void collected(void) {
	enum { N = 2000 };
	static unsigned char *p[N];
	for (int i = 0; i < N; i++) memset(p[i] = galloc_alloc(1000, 8), i, 1000);
	for (int round = 0; round < 5; round++) {
		counting_gc();
		for (int i = round % 2; i < N; i += 2) {
			galloc_dealloc(p[i], 1000, 8);
			memset(p[i] = galloc_alloc(1000, 8), i, 1000);
		}
		for (int i = 0; i < N; i++)
			for (int j = 0; j < 1000; j++) CHECK(p[i][j] == (unsigned char)i, "block %d", i);
	}
	for (int i = 0; i < N; i++) galloc_dealloc(p[i], 1000, 8);
	CHECK(counts().live_bytes == 0);
}

static void *pairs(void *arg) {
	for (int i = 0; i < 5000; i++) galloc_dealloc(galloc_realloc(galloc_alloc(64, 8), 64, 8, 6400), 6400, 8);
	return arg;
}

static void threads(void) {
	pthread_t t[8];
	for (int i = 0; i < 8; i++) CHECK(pthread_create(&t[i], NULL, pairs, NULL) == 0);
	for (int i = 0; i < 8; i++) CHECK(pthread_join(t[i], NULL) == 0);
	expect("threads", 40000, 0, 40000, 40000, 0, 0);
}

MAIN({"override", override}, {"each call once", each_call_once}, {"no garbage", no_garbage}, {"collected", collected}, {"threads", threads})
