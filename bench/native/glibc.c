// glibc-simple: small blocks of one size, freed half in order, half in reverse.
// glibc-thread: a working set per thread.

#include <string.h>

#include "native.h"

enum { SIZE, TOTAL };

static struct param simple_params[] = {
	[SIZE] = {.name = "size", .value = 32, .least = 2, .most = MOST_SIZE / 2},
	[TOTAL] = {.name = "total", .value = 400000, .least = 1, .most = MOST_COUNT},
	{0},
};

enum { MOST_BLOCKS = 1600 };

static void simple_prepare(void) {
	crew_prepare(common[THREADS].value, MOST_BLOCKS);
}

static void simple_rounds(struct thread *t, size_t size, uint64_t n) {
	struct slot *slots = t->slots;
	uint64_t rounds = simple_params[TOTAL].value / n;
	for (uint64_t round = 0; round < rounds; round++) {
		for (uint64_t i = 0; i < n; i++) {
			slots[i].p = block_alloc(t, size);
			memset(slots[i].p, 0, size);
		}
		for (uint64_t i = 0; i < n / 2; i++)
			block_free(t, slots[i].p);
		for (uint64_t i = n; i > n / 2; i--)
			block_free(t, slots[i - 1].p);
	}
	t->ops += rounds * n;
}

static void simple_work(struct thread *t) {
	size_t size = simple_params[SIZE].value;
	for (size_t s = size / 2; s <= size * 2; s = s == size / 2 ? size : s * 2) {
		for (uint64_t n = 25; n <= MOST_BLOCKS; n *= 4)
			simple_rounds(t, s, n);
	}
}

static void simple_run(void) {
	together(NULL, simple_work, NULL);
}

const struct workload glibc_simple = {"glibc-simple", simple_params, simple_prepare, simple_run};

enum { ITERATIONS, SLOTS };

static struct param thread_params[] = {
	[ITERATIONS] = {.name = "iterations", .value = 1000000, .least = 1, .most = MOST_COUNT},
	[SLOTS] = {.name = "slots", .value = 1024, .least = 1, .most = MOST_SLOTS},
	{0},
};

enum { SIZES = 8000 };

static uint32_t sizes[SIZES];

static void thread_prepare(void) {
	struct rng rng = setup_rng();
	for (int i = 0; i < SIZES; i++) {
		double u = (double)(rng_next(&rng) >> 11) / (double)(UINT64_C(1) << 53);
		sizes[i] = (uint32_t)(1 / (1.0 / 4 - u * (1.0 / 4 - 1.0 / 32768)));
	}
	crew_prepare(common[THREADS].value, thread_params[SLOTS].value);
}

static void thread_work(struct thread *t) {
	struct rng rng = t->rng;
	struct slot *slots = t->slots;
	uint64_t slot_count = t->slot_count;
	for (uint64_t i = 0; i < thread_params[ITERATIONS].value; i++) {
		struct slot *s = &slots[rng_below(&rng, slot_count)];
		if (s->p != NULL)
			block_free(t, s->p);
		s->size = sizes[rng_below(&rng, SIZES)];
		s->p = block_alloc(t, s->size);
		for (size_t k = 0; k < s->size; k += 64)
			s->p[k] = 1;
	}
	t->ops += thread_params[ITERATIONS].value;
}

static void thread_run(void) {
	together(NULL, thread_work, free_slots);
}

const struct workload glibc_thread = {"glibc-thread", thread_params, thread_prepare, thread_run};
