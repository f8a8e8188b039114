// alloc-test: half-full tables, popular slots.

#include <string.h>

#include "native.h"

enum { ITERATIONS, SLOTS };

static struct param params[] = {
	[ITERATIONS] = {.name = "iterations", .value = 2000000, .least = 1, .most = MOST_COUNT},
	[SLOTS] = {.name = "slots", .value = 262144, .least = 16, .most = MOST_SLOTS},
	{0},
};

enum { LEVELS = 7 };

// The probabilities of the levels, in millionths. Read backwards, they are the levels' shares of
// the slots, so that the few slots of the first levels are popular.
static const uint64_t millionths[LEVELS] = {262144, 393216, 245760, 81920, 15360, 1536, 64};

static struct level {
	uint64_t limit; // of the upper 32 bits of a random number
	uint64_t first, count;
} levels[LEVELS];

static void prepare(void) {
	uint64_t slots = params[SLOTS].value, sum = 0, first = 0;
	for (int k = 0; k < LEVELS; k++) {
		sum += millionths[k];
		uint64_t count = slots * millionths[LEVELS - 1 - k] / 1000000;
		if (count == 0)
			count = 1;
		if (k == LEVELS - 1)
			count = slots - first;
		levels[k] = (struct level){.limit = (sum << 32) / 1000000, .first = first, .count = count};
		first += count;
	}
	crew_prepare(common[THREADS].value, slots);
}

static inline size_t random_size(struct rng *rng) {
	int k = __builtin_ctzll(rng_next(rng) | 128);
	return (UINT64_C(8) << k) - rng_below(rng, UINT64_C(4) << k);
}

static inline void fill(struct thread *t, struct rng *rng, struct slot *s) {
	s->size = random_size(rng);
	s->p = block_alloc(t, s->size);
	memset(s->p, 0, s->size);
}

static void setup(struct thread *t) {
	for (size_t i = 0; i < t->slot_count; i++) {
		if (rng_next(&t->rng) & 1)
			fill(t, &t->rng, &t->slots[i]);
	}
}

static void work(struct thread *t) {
	struct rng rng = t->rng;
	uint64_t sum = 0;
	for (uint64_t i = 0; i < params[ITERATIONS].value; i++) {
		uint64_t r = rng_next(&rng), low = (uint32_t)r;
		const struct level *level = levels;
		while (r >> 32 >= level->limit)
			level++;
		struct slot *s = &t->slots[level->first + (low * level->count >> 32)];
		if (s->p == NULL) {
			fill(t, &rng, s);
			continue;
		}
		for (size_t k = 0; k < s->size; k += 64)
			sum += s->p[k];
		block_free(t, s->p);
		s->p = NULL;
	}
	t->sum = sum;
	t->rng = rng;
	t->ops += params[ITERATIONS].value;
}

static void run(void) {
	together(setup, work, free_slots);
}

const struct workload alloc_test = {"alloc-test", params, prepare, run};
