// malloc-large: buffers of many megabytes.

#include "native.h"

enum { BUFFERS, REPLACEMENTS, MIN, MAX };

static struct param params[] = {
	[BUFFERS] = {.name = "buffers", .value = 20, .least = 1, .most = MOST_SLOTS},
	[REPLACEMENTS] = {.name = "replacements", .value = 300, .most = MOST_COUNT},
	[MIN] = {.name = "min", .value = 5242880, .least = 1, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 26214400, .least = 2, .most = MOST_SIZE},
	{0},
};

static void prepare(void) {
	crew_prepare(common[THREADS].value, params[BUFFERS].value);
}

static void fill(struct thread *t, struct slot *s) {
	uint64_t min = params[MIN].value;
	s->size = min + rng_below(&t->rng, params[MAX].value - min + 1);
	s->p = block_zeroed(t, s->size);
	for (size_t i = 0; i < s->size; i += 4096) {
		if (s->p[i] != 0)
			fail("malloc-large: byte %zu of a block from calloc is not zero: the allocator is broken", i);
		s->p[i] = 1;
	}
}

static void setup(struct thread *t) {
	for (size_t i = 0; i < t->slot_count; i++)
		fill(t, &t->slots[i]);
}

static void work(struct thread *t) {
	for (uint64_t i = 0; i < params[REPLACEMENTS].value; i++) {
		struct slot *s = &t->slots[rng_below(&t->rng, t->slot_count)];
		block_free(t, s->p);
		fill(t, s);
	}
	t->ops += params[REPLACEMENTS].value;
}

static void run(void) {
	together(setup, work, free_slots);
}

const struct workload malloc_large = {"malloc-large", params, prepare, run};
