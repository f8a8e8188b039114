// xmalloc-test: blocks allocated by some threads and freed by others.

#include <string.h>

#include "native.h"

enum { BATCHES, BATCH, SIZE };

static struct param params[] = {
	[BATCHES] = {.name = "batches", .value = 200, .least = 1, .most = MOST_COUNT},
	[BATCH] = {.name = "batch", .value = 4096, .least = 1, .most = MOST_SLOTS},
	[SIZE] = {.name = "size", .value = 64, .most = MOST_SIZE},
	{0},
};

static const uint16_t sizes[17] = {8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048};

enum { MOST_WAITING = 100 };

struct batch_array {
	struct batch_array *next;
	struct slot slots[];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t not_full, not_empty;
	struct batch_array *full, *unused; // both last in, first out
	uint64_t waiting;                  // in full
	uint64_t to_come;                  // batches that no consumer has popped yet
} list = {.lock = PTHREAD_MUTEX_INITIALIZER, .not_full = PTHREAD_COND_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER};

static void prepare(void) {
	uint64_t threads = common[THREADS].value;
	size_t arrays = MOST_WAITING + 1 + 2 * threads;
	size_t bytes = sizeof(struct batch_array) + params[BATCH].value * sizeof(struct slot);
	unsigned char *p = map_pages(arrays, bytes);
	for (size_t i = 0; i < arrays; i++, p += bytes) {
		struct batch_array *a = (struct batch_array *)p;
		a->next = list.unused;
		list.unused = a;
	}
	list.to_come = threads * params[BATCHES].value;
	crew_prepare(2 * threads, 0);
}

static void produce(struct thread *t) {
	struct rng rng = t->rng;
	uint64_t batch = params[BATCH].value, fixed = params[SIZE].value;
	for (uint64_t i = 0; i < params[BATCHES].value; i++) {
		pthread_mutex_lock(&list.lock);
		struct batch_array *a = list.unused; // never NULL: see prepare
		list.unused = a->next;
		pthread_mutex_unlock(&list.lock);

		for (uint64_t k = 0; k < batch; k++) {
			size_t size = fixed != 0 ? fixed : sizes[rng_below(&rng, 17)];
			a->slots[k].size = size;
			a->slots[k].p = block_alloc(t, size);
			memset(a->slots[k].p, 0, size < 128 ? size : 128);
		}

		pthread_mutex_lock(&list.lock);
		while (list.waiting == MOST_WAITING)
			pthread_cond_wait(&list.not_full, &list.lock);
		a->next = list.full;
		list.full = a;
		list.waiting++;
		pthread_cond_signal(&list.not_empty);
		pthread_mutex_unlock(&list.lock);
	}
	t->ops += params[BATCHES].value * batch;
}

static void consume(struct thread *t) {
	uint64_t batch = params[BATCH].value;
	pthread_mutex_lock(&list.lock);
	for (;;) {
		while (list.waiting == 0 && list.to_come > 0)
			pthread_cond_wait(&list.not_empty, &list.lock);
		if (list.waiting == 0)
			break;
		struct batch_array *a = list.full;
		list.full = a->next;
		list.waiting--;
		if (--list.to_come == 0)
			pthread_cond_broadcast(&list.not_empty); // so that the other consumers end
		pthread_cond_signal(&list.not_full);
		pthread_mutex_unlock(&list.lock);

		for (uint64_t k = 0; k < batch; k++)
			block_free(t, a->slots[k].p);

		pthread_mutex_lock(&list.lock);
		a->next = list.unused;
		list.unused = a;
	}
	pthread_mutex_unlock(&list.lock);
}

static void work(struct thread *t) {
	if (t->id < common[THREADS].value)
		produce(t);
	else
		consume(t);
}

static void run(void) {
	together(NULL, work, NULL);
}

const struct workload xmalloc_test = {"xmalloc-test", params, prepare, run};
