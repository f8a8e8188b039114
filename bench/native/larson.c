// larson: a server whose threads end and leave their blocks to the next.

#include <string.h>

#include "native.h"

enum { BLOCKS, MIN, MAX, ROUNDS, GENERATIONS, SIZED };

static struct param params[] = {
	[BLOCKS] = {.name = "blocks", .value = 5000, .least = 1, .most = MOST_SLOTS},
	[MIN] = {.name = "min", .value = 8, .least = 2, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 1000, .least = 3, .most = MOST_SIZE},
	[ROUNDS] = {.name = "rounds", .value = 20, .least = 1, .most = MOST_COUNT},
	[GENERATIONS] = {.name = "generations", .value = 10, .least = 1, .most = MOST_COUNT},
	[SIZED] = {.name = "sized", .most = 1},
	{0},
};

// A line of threads, each of which starts the next.
struct line {
	uint64_t generation;
	bool has_parent;
	pthread_t parent;
} __attribute__((aligned(128)));

static struct slot *all;

static void prepare(void) {
	uint64_t threads = common[THREADS].value;
	if (threads * params[BLOCKS].value > UINT32_MAX)
		fail("larson: threads times blocks must be below 2^32");
	crew_prepare(threads, 0);
	all = MAP_ARRAY(struct slot, threads * params[BLOCKS].value);
	struct line *lines = MAP_ARRAY(struct line, threads);
	for (size_t i = 0; i < threads; i++) {
		crew[i].slots = all + i * params[BLOCKS].value;
		crew[i].slot_count = params[BLOCKS].value;
		crew[i].own = &lines[i];
	}
}

static inline void fill(struct thread *t, struct slot *s, size_t size) {
	s->size = size;
	s->p = block_alloc(t, size);
}

static inline void empty(struct thread *t, struct slot *s) {
	if (params[SIZED].value)
		block_free_sized(t, s->p, s->size);
	else
		block_free(t, s->p);
}

static void setup(void) {
	struct rng *rng = &boss.rng;
	uint64_t blocks = params[BLOCKS].value, n = blocks * crew_size;
	uint64_t min = params[MIN].value, range = params[MAX].value - min;
	for (uint64_t i = 0; i < n; i++)
		fill(&boss, &all[i], min + rng_below(rng, range));
	for (uint64_t i = n - 1; i > 0; i--) {
		uint64_t j = rng_below(rng, i + 1);
		struct slot s = all[i];
		all[i] = all[j];
		all[j] = s;
	}
	for (uint64_t i = 0; i < 4 * n; i++) {
		struct slot *s = &all[rng_below(rng, n)];
		empty(&boss, s);
		fill(&boss, s, min + rng_below(rng, range));
	}
}

static void *next_generation(void *arg);

// generation does the work of one generation and starts the next. It returns true if it was the
// last; otherwise t belongs to the next generation.
static bool generation(struct thread *t) {
	struct rng rng = t->rng;
	struct slot *slots = t->slots;
	uint64_t blocks = t->slot_count, ops = blocks * params[ROUNDS].value;
	uint64_t min = params[MIN].value, range = params[MAX].value - min;
	for (uint64_t i = 0; i < ops; i++) {
		struct slot *s = &slots[rng_below(&rng, blocks)];
		empty(t, s);
		fill(t, s, min + rng_below(&rng, range));
		s->p[0] = (unsigned char)i;
		s->p[1] = (unsigned char)i;
	}
	t->rng = rng;
	t->ops += ops;

	struct line *line = t->own;
	if (line->has_parent)
		pthread_join(line->parent, NULL); // it has ended; this releases its stack
	line->has_parent = false;
	if (++line->generation == params[GENERATIONS].value)
		return true;
	line->has_parent = true;
	line->parent = pthread_self();
	t->handed_over = true;
	pthread_t heir;
	int err = pthread_create(&heir, NULL, next_generation, t);
	if (err != 0)
		fail("larson: a thread cannot be started: %s", strerror(err));
	return false;
}

static void *next_generation(void *arg) {
	struct thread *t = arg;
	t->self = pthread_self();
	if (generation(t))
		team_finish(t);
	return NULL;
}

static void work(struct thread *t) {
	generation(t);
}

static void run(void) {
	setup();
	together(NULL, work, free_slots);
}

const struct workload larson = {"larson", params, prepare, run};
