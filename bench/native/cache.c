// cache-scratch, cache-thrash: false sharing.

#include "native.h"

enum { SIZE, ITERATIONS, WRITES };

static struct param params[] = {
	[SIZE] = {.name = "size", .value = 1, .least = 1, .most = MOST_SIZE},
	[ITERATIONS] = {.name = "iterations", .value = 200, .least = 1, .most = MOST_COUNT},
	[WRITES] = {.name = "writes", .value = 100000, .most = MOST_COUNT},
	{0},
};

static void prepare(void) {
	crew_prepare(common[THREADS].value, 1);
}

// scratch adds 1 to every byte of a block, passes times.
static void scratch(volatile unsigned char *p, size_t size, uint64_t passes) {
	for (uint64_t pass = 0; pass < passes; pass++) {
		for (size_t i = 0; i < size; i++) {
			p[i]++;
		}
	}
}

static void work(struct thread *t) {
	if (t->slots[0].p != NULL) {
		block_free(t, t->slots[0].p); // the main thread's
		t->slots[0].p = NULL;
	}
	size_t size = params[SIZE].value;
	uint64_t passes = params[WRITES].value / crew_size;
	for (uint64_t i = 0; i < params[ITERATIONS].value; i++) {
		unsigned char *p = block_alloc(t, size);
		scratch(p, size, passes);
		block_free(t, p);
	}
	t->ops += params[ITERATIONS].value * passes;
}

static void run_scratch(void) {
	for (size_t i = 0; i < crew_size; i++)
		crew[i].slots[0].p = block_alloc(&boss, params[SIZE].value);
	together(NULL, work, NULL);
}

static void run_thrash(void) {
	together(NULL, work, NULL);
}

const struct workload cache_scratch = {"cache-scratch", params, prepare, run_scratch};
const struct workload cache_thrash = {"cache-thrash", params, prepare, run_thrash};
