// rptest: sizes from a table, alignments, and lists passed from thread to thread.

#include "native.h"

enum { LOOPS, ALLOCS, OPS, MIN, MAX, CROSS, ITERATIONS };

static struct param params[] = {
	[LOOPS] = {.name = "loops", .value = 50, .least = 1, .most = MOST_SLOTS},
	[ALLOCS] = {.name = "allocs", .value = 1000, .least = 1, .most = MOST_SLOTS},
	[OPS] = {.name = "ops", .value = 100, .most = MOST_SLOTS},
	[MIN] = {.name = "min", .value = 8, .least = 8, .most = MOST_SIZE},
	[MAX] = {.name = "max", .value = 16000, .least = 9, .most = MOST_SIZE},
	[CROSS] = {.name = "cross", .value = 2, .least = 1, .most = MOST_SLOTS},
	[ITERATIONS] = {.name = "iterations", .value = 2, .least = 1, .most = MOST_SLOTS},
	{0},
};

enum { SIZES = 2000, PERCENTS = 311, MOST_PERCENT = 150 };

static uint32_t sizes[SIZES];
static uint32_t percents[PERCENTS];

// Blocks that one thread allocates and another frees.
struct foreign {
	struct foreign *next;
	size_t count;
	struct slot slots[];
};

struct part {
	struct foreign *inbox; // of arrays from other threads, accessed atomically
	unsigned char *arrays; // used in turn
	size_t sent;
	size_t next_size;
	size_t to; // the next list goes to the thread with this distance, plus 1
	bool is16; // the alignment of the next small block
} __attribute__((aligned(128)));

static struct part *parts;
static size_t foreign_bytes;
static size_t arrays; // per thread: arrays of an iteration may be in use until the end of the next one
static pthread_barrier_t meeting;

static void prepare(void) {
	size_t threads = common[THREADS].value;
	uint64_t min = params[MIN].value, max = params[MAX].value;
	if (params[ALLOCS].value % 1063 == 0 || params[ALLOCS].value % 1021 == 0)
		fail("rptest: allocs must not be divisible by 1063 or 1021");

	struct rng rng = setup_rng();
	uint64_t u[SIZES];
	for (int i = 0; i < SIZES; i++)
		u[i] = min + rng_below(&rng, max - min + 1);
	double range = (double)(max - min);
	for (int i = 0; i < SIZES; i++) {
		double w0 = 1 - (double)(u[(i + 1) % SIZES] - min) / range;
		double w1 = 1 - (double)(u[(i + 2) % SIZES] - min) / range;
		sizes[i] = (uint32_t)(min + (uint64_t)((double)(u[i] - min) * w0 * w1));
	}
	for (int i = 0; i < PERCENTS; i++)
		percents[i] = (uint32_t)(50 + rng_below(&rng, 101));

	crew_prepare(threads, params[ALLOCS].value);
	parts = MAP_ARRAY(struct part, threads);
	size_t sends = threads == 1 ? 0 : (params[LOOPS].value - 1) / params[CROSS].value + 1;
	arrays = 2 * sends;
	foreign_bytes = sizeof(struct foreign) + params[OPS].value * MOST_PERCENT / 100 * sizeof(struct slot);
	for (size_t i = 0; i < threads; i++)
		parts[i].arrays = map_pages(arrays, foreign_bytes);
	pthread_barrier_init(&meeting, NULL, (unsigned)threads);
}

static void fill(struct thread *t, struct part *part, struct slot *s) {
	size_t size = sizes[part->next_size];
	part->next_size = part->next_size + 1 == SIZES ? 0 : part->next_size + 1;
	bool is16 = false;
	if (size < 4096) {
		is16 = part->is16;
		part->is16 = !is16;
	}
	s->size = size;
	s->p = is16 ? block_aligned16(t, size) : block_alloc(t, size);
	*(uint32_t *)s->p = (uint32_t)size;
	for (size_t i = 4096; i < size; i += 4096)
		s->p[i] = 1;
	s->p[size - 1] = 1;
	t->ops++;
}

static void empty(struct thread *t, struct slot *s) {
	if (s->p == NULL)
		return;
	block_free(t, s->p);
	s->p = NULL;
	t->ops++;
}

static void send(struct thread *t, struct part *part, uint64_t n) {
	struct foreign *f = (struct foreign *)(part->arrays + part->sent++ % arrays * foreign_bytes);
	f->count = n;
	for (uint64_t k = 0; k < n; k++)
		fill(t, part, &f->slots[k]);
	struct foreign **inbox = &parts[(t->id + 1 + part->to) % crew_size].inbox;
	part->to = (part->to + 1) % (crew_size - 1);
	f->next = __atomic_load_n(inbox, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(inbox, &f->next, f, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static void receive(struct thread *t, struct part *part) {
	struct foreign *f = __atomic_exchange_n(&part->inbox, NULL, __ATOMIC_ACQUIRE);
	for (; f != NULL; f = f->next) {
		for (size_t k = 0; k < f->count; k++)
			empty(t, &f->slots[k]);
	}
}

static void work(struct thread *t) {
	struct part *part = &parts[t->id];
	struct slot *slots = t->slots;
	uint64_t loops = params[LOOPS].value, allocs = params[ALLOCS].value, ops = params[OPS].value, cross = params[CROSS].value;
	uint64_t f = 0, a = 0;
	for (uint64_t iteration = 0; iteration < params[ITERATIONS].value; iteration++) {
		part->next_size = (t->id + 1) * (iteration + 1) * 37 % SIZES;
		size_t next_percent = t->id * 11 % PERCENTS;
		for (uint64_t loop = 0; loop < loops; loop++) {
			uint64_t n = ops * percents[next_percent++ % PERCENTS] / 100;
			for (uint64_t k = 0; k < 4 * n / 5; k++) {
				empty(t, &slots[f]);
				f = (f + 1063) % allocs;
			}
			receive(t, part);
			for (uint64_t k = 0; k < n; k++) {
				empty(t, &slots[a]);
				fill(t, part, &slots[a]);
				a = (a + 1021) % allocs;
			}
			if (crew_size > 1 && loop % cross == 0)
				send(t, part, n);
		}
		pthread_barrier_wait(&meeting);
		receive(t, part);
	}
	for (size_t i = 0; i < t->slot_count; i++)
		empty(t, &slots[i]);
}

static void run(void) {
	together(NULL, work, NULL);
}

const struct workload rptest = {"rptest", params, prepare, run};
