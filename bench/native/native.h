// The workloads of bench/WORKLOADS.md on the malloc of the process.
//
//   - main.c      the command line, and the answer in one line of JSON
//   - harness.c   memory for the harness itself, threads that start at once, resident memory
//   - latency.c   the clock of single calls, and their histogram
//   - allocator.c the name of the malloc, and its sized free
//   - the others  one workload each, or two similar ones
//
// The harness must not disturb the allocator: its own memory is mapped, never allocated, and
// touched before the first block of the workload. Each thread has its own counts, which are added
// up at the end.

#ifndef NATIVE_H
#define NATIVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define likely(condition) __builtin_expect(!!(condition), 1)

// A key of the command line. Text parameters have a text, and no bounds.
struct param {
	const char *name;
	uint64_t value; // the default, until the command line is parsed
	uint64_t least, most;
	bool is_text;
	const char *text;
};

// Limits of parameters.
#define MOST_SIZE (UINT64_C(1) << 30)
#define MOST_COUNT (UINT64_C(1) << 32)
#define MOST_SLOTS (UINT64_C(1) << 24)

// A workload of the table in main.c.
struct workload {
	const char *name;
	struct param *params; // ends with a nameless one; NULL: none
	// prepare checks the parameters, maps the memory of the workload, and calls crew_prepare.
	void (*prepare)(void);
	// run does the work, including setup and freeing the remaining blocks, and runs the clock.
	void (*run)(void);
};

extern const struct workload larson, xmalloc_test, mstress, rptest, sh6bench, cache_scratch, cache_thrash, alloc_test,
	glibc_simple, glibc_thread, malloc_large, slots, growth, random_free, pair, batch, trace;

// The common parameters.
enum { THREADS, SEED, LATENCY, SETTLE };
extern struct param common[];

// fail ends the process with this error, formatted as by printf, as its answer.
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Random numbers: splitmix64.

struct rng {
	uint64_t state;
};

static inline uint64_t rng_mix(uint64_t z) {
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static inline uint64_t rng_next(struct rng *r) {
	r->state += UINT64_C(0x9E3779B97F4A7C15);
	return rng_mix(r->state);
}

static inline uint64_t rng_below(struct rng *r, uint64_t n) {
	return (rng_next(r) >> 32) * n >> 32;
}

struct rng setup_rng(void); // the generator of a setup phase

// Latency.

struct histogram;

// ticks reads the clock of single calls. It does not wait for the instructions before it, which
// would serialize work that the processor otherwise overlaps.
static inline uint64_t ticks(void);

void latency_start(void); // calibrates the clock
void latency_add(struct histogram *h, uint64_t ticks);

// A slot is a place for a block.
struct slot {
	unsigned char *p; // NULL: empty
	size_t size;
};

// A thread of the workload, padded by two cache lines, since processors fetch lines in pairs.
struct thread {
	struct rng rng;
	struct histogram *latency; // counts its calls; NULL while they are not timed
	uint64_t allocs, bytes, ops;
	size_t id; // from 0
	struct slot *slots;
	size_t slot_count;
	void *own;        // of the workload
	uint64_t sum;     // of the bytes read, so that the compiler keeps the reads
	bool handed_over; // see team_finish
	pthread_t self;
	struct histogram *histogram; // NULL without latency=1
} __attribute__((aligned(128)));

extern struct thread *crew; // the threads
extern size_t crew_size;
extern struct thread boss; // the main thread

// map_pages returns zeroed resident memory from the system for n items of a size.
void *map_pages(size_t n, size_t size);
#define MAP_ARRAY(type, n) ((type *)map_pages(n, sizeof(type)))

// crew_prepare makes n threads with an array of empty slots each.
void crew_prepare(size_t n, size_t slots);

// base_memory must be called before the first allocation.
void base_memory(void);
uint64_t resident(void);    // bytes above the base
uint64_t peak_memory(void); // likewise, the peak since the base

// The clock, in ns. The time between start and stop is added to measured_ns.
extern uint64_t measured_ns;
uint64_t clock_ns(void);
void clock_start(void);
void clock_stop(void);

// time_calls switches the timing of t's calls of the allocator on or off, with latency=1.
static inline void time_calls(struct thread *t, bool on) {
	t->latency = on ? t->histogram : NULL;
}

// together runs a function for each thread of the crew on a pthread of its own: before, then, when
// all are ready and the clock has been started, work, then, when all have done and the clock has
// been stopped, after. before and after may be NULL.
void together(void (*before)(struct thread *), void (*work)(struct thread *), void (*after)(struct thread *));

// A work function that sets handed_over, which then stays so, has left its work to another pthread.
// That one shall set self to itself, and call team_finish when the work is done.
void team_finish(struct thread *t);

// Calls of the allocator.

// CALL evaluates a call of the allocator for thread t, and times it if its calls are timed.
#define CALL(t, call)                                            \
	do {                                                     \
		if (likely((t)->latency == NULL)) {              \
			call;                                    \
		} else {                                         \
			uint64_t call_began = ticks();           \
			call;                                    \
			latency_add((t)->latency, ticks() - call_began); \
		}                                                \
	} while (0)

_Noreturn void out_of_memory(size_t size);

static inline void count_block(struct thread *t, const void *p, size_t size) {
	if (!likely(p != NULL))
		out_of_memory(size);
	t->allocs++;
	t->bytes += size;
}

static inline unsigned char *block_alloc(struct thread *t, size_t size) {
	unsigned char *p;
	CALL(t, p = malloc(size));
	count_block(t, p, size);
	return p;
}

static inline unsigned char *block_zeroed(struct thread *t, size_t size) {
	unsigned char *p;
	CALL(t, p = calloc(1, size));
	count_block(t, p, size);
	return p;
}

static inline unsigned char *block_aligned16(struct thread *t, size_t size) {
	unsigned char *p;
	CALL(t, p = aligned_alloc(16, (size + 15) & ~(size_t)15)); // C requires a multiple of the alignment
	count_block(t, p, size);
	return p;
}

// block_resize counts as an allocation of the new size.
static inline unsigned char *block_resize(struct thread *t, unsigned char *p, size_t size) {
	CALL(t, p = realloc(p, size));
	count_block(t, p, size);
	return p;
}

static inline void block_free(struct thread *t, void *p) {
	CALL(t, free(p));
}

// touch_pages writes to each 4096th byte of a block from an offset on, and to its last byte. The
// first word may be its size.
static inline void touch_pages(unsigned char *p, size_t from, size_t size) {
	for (size_t i = from; i < size; i += 4096)
		p[i] = 1;
	if (size > 8)
		p[size - 1] = 1;
}

// slot_put puts a block into an empty slot, and touches its pages.
static inline void slot_put(struct thread *t, struct slot *s, size_t size) {
	s->p = block_alloc(t, size);
	s->size = size;
	touch_pages(s->p, 0, size);
}

// Sizes from least to below least << count, each power of two as often as another.
struct octaves {
	uint64_t least, count;
};

static inline struct octaves octaves_between(const char *workload, uint64_t least, uint64_t most) {
	struct octaves o = {.least = least};
	if (most < 2 * least)
		fail("%s: max must be at least twice min", workload);
	while (least << (o.count + 1) <= most)
		o.count++;
	return o;
}

static inline size_t octaves_draw(const struct octaves *o, struct rng *rng) {
	uint64_t low = o->least << rng_below(rng, o->count);
	return low + rng_below(rng, low);
}

// The sized free of this malloc; both are NULL if it has none.
extern void (*sized_free)(void *, size_t);
extern void (*sized_free_flags)(void *, size_t, int);

void allocator_start(void);
const char *allocator_name(void); // and version

static inline void free_with_size(void *p, size_t size) {
	if (sized_free_flags != NULL)
		sized_free_flags(p, size, 0);
	else if (sized_free != NULL)
		sized_free(p, size);
	else
		free(p);
}

static inline void block_free_sized(struct thread *t, void *p, size_t size) {
	CALL(t, free_with_size(p, size));
}

// free_slots frees the blocks in the slots of t, in order.
void free_slots(struct thread *t);

// The histogram of latencies: buckets that are exact to 1/16 of the value. Values below 16 have one
// each; above, each power of two has 16, of equal width.

enum { HISTOGRAM_BUCKETS = (64 - 4 + 1) * 16 };

struct histogram {
	uint64_t count, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

// Rounds of the workload trace.
extern uint64_t *round_ns;
extern size_t round_count;

void latency_merge(struct histogram *into, const struct histogram *from);
double latency_quantile(const struct histogram *h, unsigned permille); // in ns
double latency_max(const struct histogram *h);                         // in ns

#if defined(__x86_64__) || defined(__i386__)
static inline uint64_t ticks(void) {
	return __builtin_ia32_rdtsc();
}
#else
static inline uint64_t ticks(void) {
	return clock_ns();
}
#endif

#endif
