// slots: blocks of many sizes with random lifetimes, freed by their thread or by any.

#include "native.h"

enum { SLOTS, ITERATIONS, MIN, MAX, ACROSS };

static struct param params[] = {
	[SLOTS] = {.name = "slots", .value = 1000, .least = 1, .most = MOST_SLOTS},
	[ITERATIONS] = {.name = "iterations", .value = 1000000, .least = 1, .most = MOST_COUNT},
	[MIN] = {.name = "min", .value = 16, .least = 8, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 2048, .least = 16, .most = MOST_SIZE},
	[ACROSS] = {.name = "across", .most = 1},
	{0},
};

static struct octaves sizes;

// With across=1, the slots of all threads, which are accessed atomically. The first word of a block
// is its size.
static uint64_t **table;
static size_t table_count;

static void prepare(void) {
	sizes = octaves_between("slots", params[MIN].value, params[MAX].value);
	crew_prepare(common[THREADS].value, params[ACROSS].value ? 0 : params[SLOTS].value);
	table_count = common[THREADS].value * params[SLOTS].value;
	if (params[ACROSS].value)
		table = MAP_ARRAY(uint64_t *, table_count);
}

static void setup(struct thread *t) {
	for (size_t i = 0; i < t->slot_count; i++)
		slot_put(t, &t->slots[i], octaves_draw(&sizes, &t->rng));
}

static void work(struct thread *t) {
	struct rng rng = t->rng;
	for (uint64_t i = 0; i < params[ITERATIONS].value; i++) {
		struct slot *s = &t->slots[rng_below(&rng, t->slot_count)];
		block_free(t, s->p);
		slot_put(t, s, octaves_draw(&sizes, &rng));
	}
	t->rng = rng;
	t->ops += params[ITERATIONS].value;
}

static uint64_t *across_put(struct thread *t, struct rng *rng) {
	size_t size = octaves_draw(&sizes, rng);
	uint64_t *p = (uint64_t *)block_alloc(t, size);
	*p = size;
	touch_pages((unsigned char *)p, 4096, size);
	return p;
}

static void across_setup(struct thread *t) {
	for (size_t i = 0; i < params[SLOTS].value; i++)
		table[t->id * params[SLOTS].value + i] = across_put(t, &t->rng);
}

static void across_work(struct thread *t) {
	struct rng rng = t->rng;
	for (uint64_t i = 0; i < params[ITERATIONS].value; i++) {
		uint64_t **s = &table[rng_below(&rng, table_count)];
		uint64_t *p = across_put(t, &rng);
		block_free(t, __atomic_exchange_n(s, p, __ATOMIC_ACQ_REL));
	}
	t->rng = rng;
	t->ops += params[ITERATIONS].value;
}

static void across_clean(struct thread *t) {
	for (size_t i = 0; i < params[SLOTS].value; i++)
		block_free(t, table[t->id * params[SLOTS].value + i]);
}

static void run(void) {
	if (params[ACROSS].value)
		together(across_setup, across_work, across_clean);
	else
		together(setup, work, free_slots);
}

const struct workload slots = {"slots", params, prepare, run};
