// pair, batch: the simplest of all.

#include "native.h"

enum { SIZE, ITERATIONS, COUNT };

static struct param pair_params[] = {
	[SIZE] = {.name = "size", .value = 64, .least = 1, .most = MOST_SIZE},
	[ITERATIONS] = {.name = "iterations", .value = 5000000, .least = 1, .most = MOST_COUNT},
	{0},
};

static struct param batch_params[] = {
	[SIZE] = {.name = "size", .value = 64, .least = 1, .most = MOST_SIZE},
	[ITERATIONS] = {.name = "iterations", .value = 5000000, .least = 1, .most = MOST_COUNT},
	[COUNT] = {.name = "count", .value = 1000, .least = 1, .most = MOST_SLOTS},
	{0},
};

// times returns the number of iterations, which is less for large blocks.
static uint64_t times(const struct param *params) {
	uint64_t size = params[SIZE].value, n = params[ITERATIONS].value;
	return size < 32768 ? n : n / (size / 16384);
}

static void pair_prepare(void) {
	crew_prepare(common[THREADS].value, 0);
}

static void pair_work(struct thread *t) {
	size_t size = pair_params[SIZE].value;
	uint64_t n = times(pair_params);
	for (uint64_t i = 0; i < n; i++) {
		unsigned char *p = block_alloc(t, size);
		*(volatile unsigned char *)p = 1;
		block_free(t, p);
	}
	t->ops += n;
}

static void pair_run(void) {
	together(NULL, pair_work, NULL);
}

static void batch_prepare(void) {
	crew_prepare(common[THREADS].value, batch_params[COUNT].value);
}

static void batch_work(struct thread *t) {
	size_t size = batch_params[SIZE].value;
	uint64_t count = t->slot_count, rounds = times(batch_params) / count;
	struct slot *slots = t->slots;
	for (uint64_t round = 0; round < rounds; round++) {
		for (uint64_t i = 0; i < count; i++) {
			slots[i].p = block_alloc(t, size);
			slots[i].p[0] = 1;
		}
		for (uint64_t i = 0; i < count; i++)
			block_free(t, slots[i].p);
	}
	t->ops += rounds * count;
}

static void batch_run(void) {
	together(NULL, batch_work, NULL);
}

const struct workload pair = {"pair", pair_params, pair_prepare, pair_run};
const struct workload batch = {"batch", batch_params, batch_prepare, batch_run};
