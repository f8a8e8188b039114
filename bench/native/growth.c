// growth: vectors that double by realloc, among short strings.

#include "native.h"

enum { VECTORS, ITERATIONS, MIN, MAX };

static struct param params[] = {
	[VECTORS] = {.name = "vectors", .value = 1000, .least = 1, .most = MOST_SLOTS},
	[ITERATIONS] = {.name = "iterations", .value = 1000000, .least = 1, .most = MOST_COUNT},
	[MIN] = {.name = "min", .value = 16, .least = 8, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 65536, .least = 16, .most = MOST_SIZE},
	{0},
};

struct vector {
	struct slot block;
	size_t limit;
};

static struct octaves limits, lengths;

// The slots of a thread are its strings, and its own are its vectors.
static void prepare(void) {
	limits = octaves_between("growth", params[MIN].value, params[MAX].value);
	lengths = octaves_between("growth", 16, 1024);
	crew_prepare(common[THREADS].value, params[VECTORS].value);
	for (size_t i = 0; i < crew_size; i++)
		crew[i].own = MAP_ARRAY(struct vector, params[VECTORS].value);
}

static void setup(struct thread *t) {
	for (size_t i = 0; i < t->slot_count; i++)
		slot_put(t, &t->slots[i], octaves_draw(&lengths, &t->rng));
}

static void step(struct thread *t, struct vector *v, struct rng *rng) {
	uint64_t min = params[MIN].value;
	struct slot *b = &v->block;
	if (b->p == NULL) {
		v->limit = octaves_draw(&limits, rng);
		slot_put(t, b, min + rng_below(rng, min));
	} else if (2 * b->size <= v->limit) {
		b->p = block_resize(t, b->p, 2 * b->size);
		touch_pages(b->p, b->size, 2 * b->size);
		b->size *= 2;
	} else {
		block_free(t, b->p);
		b->p = NULL;
	}
}

static void work(struct thread *t) {
	struct vector *vectors = t->own;
	struct rng rng = t->rng;
	for (uint64_t i = 0; i < params[ITERATIONS].value; i++) {
		step(t, &vectors[rng_below(&rng, t->slot_count)], &rng);
		struct slot *s = &t->slots[rng_below(&rng, t->slot_count)];
		block_free(t, s->p);
		slot_put(t, s, octaves_draw(&lengths, &rng));
	}
	t->rng = rng;
	t->ops += params[ITERATIONS].value;
}

static void clean(struct thread *t) {
	struct vector *vectors = t->own;
	free_slots(t);
	for (size_t i = 0; i < t->slot_count; i++) {
		if (vectors[i].block.p != NULL)
			block_free(t, vectors[i].block.p);
	}
}

static void run(void) {
	together(setup, work, clean);
}

const struct workload growth = {"growth", params, prepare, run};
