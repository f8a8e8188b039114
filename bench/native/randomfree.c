// random-free: a large heap, freed in random order.

#include "native.h"

enum { BLOCKS, MIN, MAX, ROUNDS };

static struct param params[] = {
	[BLOCKS] = {.name = "blocks", .value = 800000, .least = 1, .most = MOST_SLOTS},
	[MIN] = {.name = "min", .value = 16, .least = 8, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 1024, .least = 16, .most = MOST_SIZE},
	[ROUNDS] = {.name = "rounds", .value = 1, .least = 1, .most = MOST_COUNT},
	{0},
};

static struct octaves sizes;

// The own of a thread is the order in which it frees its blocks.
static void prepare(void) {
	sizes = octaves_between("random-free", params[MIN].value, params[MAX].value);
	crew_prepare(common[THREADS].value, params[BLOCKS].value);
	for (size_t i = 0; i < crew_size; i++)
		crew[i].own = MAP_ARRAY(uint32_t, params[BLOCKS].value);
}

static void setup(struct thread *t) {
	uint32_t *order = t->own;
	for (size_t i = 0; i < t->slot_count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = t->slot_count - 1; i > 0; i--) {
		uint64_t j = rng_below(&t->rng, i + 1);
		uint32_t was = order[i];
		order[i] = order[j];
		order[j] = was;
	}
}

static void work(struct thread *t) {
	const uint32_t *order = t->own;
	struct rng rng = t->rng;
	for (uint64_t round = 0; round < params[ROUNDS].value; round++) {
		for (size_t i = 0; i < t->slot_count; i++)
			slot_put(t, &t->slots[i], octaves_draw(&sizes, &rng));
		for (size_t i = 0; i < t->slot_count; i++)
			block_free(t, t->slots[order[i]].p);
	}
	t->rng = rng;
	t->ops += params[ROUNDS].value * t->slot_count;
}

static void run(void) {
	together(setup, work, NULL);
}

const struct workload random_free = {"random-free", params, prepare, run};
