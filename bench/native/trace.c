// trace: the recorded allocations of a real program, from a file of WriteTo in the Go package
// internal/replay.
//
// The loops make the same accesses as those of internal/replay/replay.go.

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "program files are little-endian, and are used as they are"
#endif

enum { PROGRAM, ROUNDS, SINK_ALLOCATOR };

static struct param params[] = {
	[PROGRAM] = {.name = "program", .is_text = true},
	[ROUNDS] = {.name = "rounds", .value = 5, .least = 1, .most = 100000},
	[SINK_ALLOCATOR] = {.name = "sink", .most = 1},
	{0},
};

// The file: a head, a code_head for each thread, and for each thread its instructions and its
// survivors.

struct head {
	char magic[16];
	uint32_t threads, shared;
	uint64_t events, largest;
};

struct code_head {
	uint32_t slots, survivors;
	uint64_t instrs;
};

enum { ALLOC, ZEROED, FREE, REALLOC, INTO };

struct instr {
	uint64_t size;
	uint8_t align; // binary logarithm
	uint8_t padding[7];
	uint32_t slot;
	uint8_t op;
	uint8_t shared;
	uint8_t padding2[2];
};

_Static_assert(sizeof(struct head) == 40 && sizeof(struct code_head) == 16 && sizeof(struct instr) == 24, "as in the file");

// The code of one thread. A survivor is an instr of which only size, align and slot are used.
struct code {
	const struct instr *instrs, *survivors;
	uint64_t instr_count, survivor_count;
	void **table;
	uint64_t allocs, bytes; // in a round
} __attribute__((aligned(128)));

static struct code *codes;
static size_t threads;
static void **shared; // accessed atomically; NULL until the block is born
static size_t shared_count;
static uint64_t events;
static void *sink_block;

uint64_t *round_ns;
size_t round_count;

_Noreturn static void damaged(const char *what) {
	fail("trace: %s is not a program file, or it is damaged (%s): make it again with gobench dump", params[PROGRAM].text, what);
}

// check_code checks the code, so that the loops need not, and counts the allocations.
static void check_code(struct code *c, uint32_t slots, uint64_t largest) {
	bool in_realloc = false;
	for (uint64_t i = 0; i < c->instr_count; i++) {
		const struct instr *in = &c->instrs[i];
		if (in->op > INTO || in_realloc != (in->op == INTO))
			damaged("an instruction that is none");
		if (in->slot >= (in->shared ? shared_count : slots) || (in->shared && threads == 1))
			damaged("a slot that is none");
		if (in->size > largest || in->align > 47)
			damaged("a size or an alignment that cannot be");
		in_realloc = in->op == REALLOC;
		if (in->op == ALLOC || in->op == ZEROED || in->op == INTO) {
			c->allocs++;
			c->bytes += in->size;
		}
	}
	if (in_realloc)
		damaged("a realloc without an end");
	for (uint64_t i = 0; i < c->survivor_count; i++) {
		if (c->survivors[i].slot >= slots)
			damaged("a survivor without a slot");
	}
}

// take returns the next n*size bytes of the file, and fails if there are fewer.
static const unsigned char *take(const unsigned char **at, uint64_t *left, uint64_t n, uint64_t size) {
	if (n > *left / size)
		damaged("it ends too early");
	const unsigned char *p = *at;
	*at += n * size;
	*left -= n * size;
	return p;
}

static const struct instr *take_instrs(const unsigned char **at, uint64_t *left, uint64_t n) {
	const unsigned char *p = take(at, left, n, sizeof(struct instr));
	struct instr *copy = MAP_ARRAY(struct instr, n);
	memcpy(copy, p, n * sizeof(struct instr));
	return copy;
}

static void load(const unsigned char *at, uint64_t left) {
	struct head head;
	memcpy(&head, take(&at, &left, 1, sizeof head), sizeof head);
	if (memcmp(head.magic, "mallocprogram1\n", sizeof head.magic) != 0)
		damaged("it begins otherwise");
	if (head.threads > 1 && params[SINK_ALLOCATOR].value)
		fail("trace: sink=1 is for programs of one thread, and this one has %u", head.threads);
	threads = head.threads;
	events = head.events;
	shared_count = head.shared;
	if (shared_count > left / sizeof(struct instr))
		damaged("more shared slots than it can fill");
	shared = MAP_ARRAY(void *, shared_count);
	codes = MAP_ARRAY(struct code, threads);
	const unsigned char *heads = take(&at, &left, threads, sizeof(struct code_head));
	for (size_t t = 0; t < threads; t++) {
		struct code *c = &codes[t];
		struct code_head h;
		memcpy(&h, heads + t * sizeof h, sizeof h);
		c->instr_count = h.instrs;
		c->instrs = take_instrs(&at, &left, h.instrs);
		c->survivor_count = h.survivors;
		c->survivors = take_instrs(&at, &left, h.survivors);
		if (h.slots > h.instrs)
			damaged("more slots than it can fill");
		c->table = MAP_ARRAY(void *, h.slots);
		check_code(c, h.slots, head.largest);
	}
	if (left > 0)
		damaged("it goes on after its end");
	if (params[SINK_ALLOCATOR].value)
		sink_block = map_pages(head.largest + 1, 1);
}

static void prepare(void) {
	const char *name = params[PROGRAM].text;
	if (params[SINK_ALLOCATOR].value && common[LATENCY].value)
		fail("trace: sink=1 calls no allocator that latency=1 could time: leave one of them out");
	if (name == NULL)
		fail("trace: write program=FILE, with a file of gobench dump");
	int file = open(name, O_RDONLY);
	struct stat stat;
	if (file < 0 || fstat(file, &stat) != 0)
		fail("trace: %s cannot be opened: %m", name);
	if (!S_ISREG(stat.st_mode) || stat.st_size == 0)
		damaged("it is empty, or no file");
	size_t size = (size_t)stat.st_size;
	unsigned char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
	if (text == MAP_FAILED)
		fail("trace: %s cannot be read: %m", name);
	close(file);
	load(text, size);
	munmap(text, size);
	round_ns = MAP_ARRAY(uint64_t, params[ROUNDS].value);
	crew_prepare(threads, 0);
}

// touch writes to the first byte of every 4 KiB of a block and to its last byte.
static inline void touch(unsigned char *p, uint64_t size) {
	if (size == 0)
		return;
	for (uint64_t i = 0; i < size; i += 4096)
		((volatile unsigned char *)p)[i] = 1;
	((volatile unsigned char *)p)[size - 1] = 1;
}

// Calls of the allocator, each for an instruction. malloc aligns to max_align_t, which is 16 on all
// relevant platforms; no realloc keeps a greater alignment.

static inline void *allocate(const struct instr *in) {
	if (likely(in->align <= 4))
		return malloc(in->size);
	void *p;
	return posix_memalign(&p, (size_t)1 << in->align, in->size) == 0 ? p : NULL;
}

static inline void *allocate_zeroed(const struct instr *in) {
	if (likely(in->align <= 4))
		return calloc(1, in->size);
	void *p = allocate(in);
	return p == NULL ? NULL : memset(p, 0, in->size);
}

static inline void *reallocate(void *old, const struct instr *into) {
	return realloc(old, into->size == 0 ? 1 : into->size); // realloc to 0 bytes would free the block
}

// The sink allocator. It is not inlined, so that its calls cost a call.

static __attribute__((noinline, noclone)) void *sink_allocate(const struct instr *in) {
	__asm__ volatile("" ::"r"(in));
	return sink_block;
}

static __attribute__((noinline, noclone)) void sink_free(void *p) {
	__asm__ volatile("" ::"r"(p));
}

static __attribute__((noinline, noclone)) void *sink_reallocate(void *old, const struct instr *into) {
	__asm__ volatile("" ::"r"(into));
	return old;
}

// replay is the loop for one thread, compiled twice: with the sink allocator, and with malloc.
static inline __attribute__((always_inline)) void replay(struct thread *t, const struct code *c, const bool sink) {
	const struct instr *in = c->instrs, *end = in + c->instr_count;
	void **table = c->table;
	for (; in < end; in++) {
		void *p;
		switch (in->op) {
		case ALLOC:
		case ZEROED:
			if (sink)
				p = sink_allocate(in);
			else if (in->op == ALLOC)
				CALL(t, p = allocate(in));
			else
				CALL(t, p = allocate_zeroed(in));
			if (!likely(p != NULL))
				out_of_memory(in->size);
			touch(p, in->size);
			table[in->slot] = p;
			break;
		case FREE:
			if (sink)
				sink_free(table[in->slot]);
			else
				CALL(t, free(table[in->slot]));
			table[in->slot] = NULL;
			break;
		case REALLOC: {
			const struct instr *old = in++;
			if (sink)
				p = sink_reallocate(table[old->slot], in);
			else
				CALL(t, p = reallocate(table[old->slot], in));
			if (!likely(p != NULL))
				out_of_memory(in->size);
			touch(p, in->size);
			table[old->slot] = NULL;
			table[in->slot] = p;
			break;
		}
		}
	}
}

static __attribute__((noinline)) void replay_sink(struct thread *t, const struct code *c) {
	replay(t, c, true);
}

static __attribute__((noinline)) void replay_malloc(struct thread *t, const struct code *c) {
	replay(t, c, false);
}

// take_block returns the block that in ends. If another thread has to allocate it, it waits for
// that.
static inline void *take_block(const struct instr *in, void **table) {
	void *p;
	if (!in->shared) {
		p = table[in->slot];
		table[in->slot] = NULL;
		return p;
	}
	while ((p = __atomic_load_n(&shared[in->slot], __ATOMIC_ACQUIRE)) == NULL)
		sched_yield(); // a thread that fails ends the process
	shared[in->slot] = NULL; // no other thread reads it
	return p;
}

// replay_thread is the loop for one of several threads.
static void replay_thread(struct thread *t) {
	const struct code *c = &codes[t->id];
	const struct instr *in = c->instrs, *end = in + c->instr_count;
	void **table = c->table;
	for (; in < end; in++) {
		void *p, *old = NULL;
		if (in->op == FREE || in->op == REALLOC)
			old = take_block(in, table);
		switch (in->op) {
		case FREE:
			CALL(t, free(old));
			continue;
		case ALLOC:
			CALL(t, p = allocate(in));
			break;
		case ZEROED:
			CALL(t, p = allocate_zeroed(in));
			break;
		default: // REALLOC
			in++;
			CALL(t, p = reallocate(old, in));
		}
		if (!likely(p != NULL))
			out_of_memory(in->size);
		touch(p, in->size);
		if (in->shared)
			__atomic_store_n(&shared[in->slot], p, __ATOMIC_RELEASE);
		else
			table[in->slot] = p;
	}
}

static void free_survivors(const struct code *c) {
	for (uint64_t i = 0; i < c->survivor_count; i++) {
		uint32_t slot = c->survivors[i].slot;
		if (sink_block == NULL)
			free(c->table[slot]);
		c->table[slot] = NULL;
	}
}

static int by_value(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// median does not change the rounds.
static uint64_t median(void) {
	uint64_t *sorted = MAP_ARRAY(uint64_t, round_count);
	memcpy(sorted, round_ns, round_count * sizeof *sorted);
	qsort(sorted, round_count, sizeof *sorted, by_value);
	return (sorted[(round_count - 1) / 2] + sorted[round_count / 2]) / 2;
}

static void run(void) {
	uint64_t rounds = params[ROUNDS].value;
	while (round_count < rounds) {
		memset(shared, 0, shared_count * sizeof *shared);
		measured_ns = 0;
		if (threads > 1) {
			together(NULL, replay_thread, NULL);
		} else if (threads == 1) {
			time_calls(&crew[0], true);
			clock_start();
			if (sink_block != NULL)
				replay_sink(&crew[0], &codes[0]);
			else
				replay_malloc(&crew[0], &codes[0]);
			clock_stop();
		}
		round_ns[round_count++] = measured_ns;
		for (size_t t = 0; t < threads; t++)
			free_survivors(&codes[t]);
	}
	measured_ns = median();
	boss.ops = events;
	for (size_t t = 0; t < threads; t++) {
		crew[t].allocs = codes[t].allocs * rounds;
		crew[t].bytes = codes[t].bytes * rounds;
	}
}

const struct workload trace = {"trace", params, prepare, run};
