// mstress: random traffic with transfers, and a few huge blocks.

#include <string.h>

#include "native.h"

enum { SCALE, ITERATIONS };

static struct param params[] = {
	[SCALE] = {.name = "scale", .value = 10, .least = 1, .most = 1 << 16},
	[ITERATIONS] = {.name = "iterations", .value = 10, .least = 1, .most = MOST_COUNT},
	{0},
};

#define COOKIE UINT64_C(0xBF58476D1CE4E5B9)

enum { TRANSFERS = 1000 };

static uint64_t **transfer; // accessed atomically

// The state of a thread; the arrays are long enough for one iteration.
struct stress {
	uint64_t **data, **retained;
} __attribute__((aligned(128)));

static uint64_t quota(size_t thread) {
	return 100 * params[SCALE].value * (thread % 8 + 1);
}

static void prepare(void) {
	size_t threads = common[THREADS].value;
	crew_prepare(threads, 0);
	transfer = MAP_ARRAY(uint64_t *, TRANSFERS);
	struct stress *stresses = MAP_ARRAY(struct stress, threads);
	for (size_t i = 0; i < threads; i++) {
		crew[i].own = &stresses[i];
		stresses[i].data = MAP_ARRAY(uint64_t *, quota(i));
		stresses[i].retained = MAP_ARRAY(uint64_t *, quota(i) / 2);
	}
}

static inline uint64_t pick(uint64_t *x, uint64_t n) {
	*x = rng_mix(*x);
	return *x % n;
}

static inline bool chance(uint64_t *x, uint64_t percent) {
	return pick(x, 100) < percent;
}

static uint64_t *alloc_items(struct thread *t, uint64_t *x, uint64_t n) {
	if (chance(x, 1)) {
		if (chance(x, 1))
			n *= 10000;
		else if (chance(x, 10))
			n *= 1000;
		else
			n *= 100;
	}
	if (n == 40)
		n = 41;
	uint64_t *p = (uint64_t *)block_alloc(t, 8 * n);
	for (uint64_t k = 0; k < n; k++)
		p[k] = (n - k) ^ COOKIE;
	t->ops++;
	return p;
}

static void free_items(struct thread *t, uint64_t *p) {
	if (p == NULL)
		return;
	uint64_t n = p[0] ^ COOKIE;
	for (uint64_t k = 0; k < n; k++) {
		if (p[k] != ((n - k) ^ COOKIE))
			fail("mstress: word %llu of a block is not the word that was written: the allocator is broken", (unsigned long long)k);
	}
	block_free(t, p);
	t->ops++;
}

static void *iteration(void *arg) {
	struct thread *t = arg;
	struct stress *s = t->own;
	uint64_t x = (t->id + 1) * 43;
	uint64_t allocs = quota(t->id), retain = allocs / 2;
	uint64_t **data = s->data, **retained = s->retained;
	size_t data_len = 0, retained_len = 0;
	while (allocs > 0 || retain > 0) {
		if (retain == 0 || (chance(&x, 50) && allocs > 0)) {
			allocs--;
			data[data_len++] = alloc_items(t, &x, UINT64_C(1) << pick(&x, 5));
		} else {
			retain--;
			retained[retained_len++] = alloc_items(t, &x, UINT64_C(1) << pick(&x, 7));
		}
		if (chance(&x, 66) && data_len > 0) {
			uint64_t i = pick(&x, data_len);
			free_items(t, data[i]);
			data[i] = NULL;
		}
		if (chance(&x, 25) && data_len > 0) {
			uint64_t i = pick(&x, data_len), j = pick(&x, TRANSFERS);
			data[i] = __atomic_exchange_n(&transfer[j], data[i], __ATOMIC_ACQ_REL);
		}
	}
	for (size_t i = 0; i < data_len; i++)
		free_items(t, data[i]);
	for (size_t i = 0; i < retained_len; i++)
		free_items(t, retained[i]);
	return NULL;
}

static void free_transfer(uint64_t *x, bool all) {
	for (size_t i = 0; i < TRANSFERS; i++) {
		if (all || chance(x, 50))
			free_items(&boss, __atomic_exchange_n(&transfer[i], NULL, __ATOMIC_ACQ_REL));
	}
}

static void run(void) {
	uint64_t x = 43, iterations = params[ITERATIONS].value;
	for (size_t i = 0; i < crew_size; i++)
		time_calls(&crew[i], true);
	time_calls(&boss, true);
	clock_start();
	for (uint64_t n = 1; n <= iterations; n++) {
		for (size_t i = 0; i < crew_size; i++) {
			int err = pthread_create(&crew[i].self, NULL, iteration, &crew[i]);
			if (err != 0)
				fail("mstress: a thread cannot be started: %s", strerror(err));
		}
		for (size_t i = 0; i < crew_size; i++)
			pthread_join(crew[i].self, NULL);
		free_transfer(&x, n == iterations);
	}
	clock_stop();
}

const struct workload mstress = {"mstress", params, prepare, run};
