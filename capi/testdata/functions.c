// A host in C: the contract of the nine functions, each case in a separate process. It is linked
// with libgalloc.
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "../galloc.h"
#include "check.h"

static void fill(void *p, size_t size, int seed) {
	for (size_t i = 0; i < size; i++) ((unsigned char *)p)[i] = (unsigned char)(i * 31 + seed);
}

static int holds(const void *p, size_t size, int seed) {
	for (size_t i = 0; i < size; i++)
		if (((const unsigned char *)p)[i] != (unsigned char)(i * 31 + seed)) return 0;
	return 1;
}

static int zero(const void *p, size_t from, size_t to) {
	for (size_t i = from; i < to; i++)
		if (((const unsigned char *)p)[i] != 0) return 0;
	return 1;
}

// The two families, with one order of arguments.
struct family {
	void *(*alloc)(size_t, size_t);
	void (*dealloc)(void *, size_t, size_t);
	void *(*realloc)(void *, size_t, size_t, size_t);
};

static void *reallocate(void *p, size_t old_size, size_t align, size_t size) { return galloc_reallocate(p, old_size, size, align); }

static const struct family families[] = {
	{galloc_alloc, galloc_dealloc, galloc_realloc},
	{galloc_allocate, galloc_deallocate, reallocate},
};

static const size_t sizes[] = {1, 7, 8, 9, 16, 24, 100, 1000, 4096, 32 << 10, (32 << 10) + 1, 1 << 20, 5 << 20};

#define EACH(x, array) for (size_t x##_ = 0; x##_ < sizeof array / sizeof *array; x##_++)

static void alignments(void) {
	EACH(f, families) for (size_t align = 1; align <= 4 << 20; align *= 2) EACH(s, sizes) {
		const struct family *f = &families[f_], *g = &families[1 - f_];
		size_t size = sizes[s_];
		void *p[4];
		for (int i = 0; i < 4; i++) {
			p[i] = f->alloc(size, align);
			CHECK(p[i] != NULL && (uintptr_t)p[i] % align == 0, "size %zu, align %zu: %p", size, align, p[i]);
			fill(p[i], size, i);
		}
		for (int i = 0; i < 4; i++) {
			CHECK(holds(p[i], size, i), "size %zu, align %zu: blocks overlap", size, align);
			(i % 2 ? f : g)->dealloc(p[i], size, align); // either family may free it
		}
	}
}

static void zeroed(void) {
	EACH(s, sizes) for (int round = 0; round < 20; round++) {
		void *p = galloc_alloc_zeroed(sizes[s_], 16);
		CHECK(p != NULL && zero(p, 0, sizes[s_]), "size %zu, round %d", sizes[s_], round);
		fill(p, sizes[s_], 1); // so that the next block is not zero by chance
		galloc_dealloc(p, sizes[s_], 16);
	}
}

static void realloc_keeps(void) {
	EACH(f, families) EACH(a, sizes) EACH(b, sizes) for (size_t align = 1; align <= 8192; align *= 8) {
		const struct family *f = &families[f_];
		size_t from = sizes[a_], to = sizes[b_];
		void *p = f->alloc(from, align);
		fill(p, from, 5);
		p = f->realloc(p, from, align, to);
		CHECK(p != NULL && (uintptr_t)p % align == 0 && holds(p, from < to ? from : to, 5), "%zu to %zu, align %zu", from, to, align);
		fill(p, to, 6);
		f->dealloc(p, to, align);
	}
}

static void inplace(void) {
	int grown = 0, kept = 0;
	EACH(a, sizes) for (size_t to = 1; to < 3 << 20; to = to * 3 / 2 + 1) {
		size_t from = sizes[a_];
		void *p = galloc_allocate(from, 8), *q = galloc_allocate(from, 8);
		fill(p, from, 7);
		fill(q, from, 8);
		size_t now = galloc_reallocate_inplace(p, from, to, 8);
		CHECK(now == from || now == to, "%zu to %zu: %zu", from, to, now);
		if (to <= galloc_usable_size(from, 8) && from <= galloc_usable_size(to, 8)) CHECK(now == to, "%zu to %zu: %zu", from, to, now);
		CHECK(holds(p, from < now ? from : now, 7), "%zu to %zu", from, to);
		fill(p, now, 9);
		CHECK(holds(q, from, 8), "%zu to %zu: it has grown into another", from, to);
		grown += now > from;
		kept += now == from && to != from;
		galloc_deallocate(p, now, 8);
		galloc_deallocate(q, from, 8);
	}
	CHECK(grown > 0 && kept > 10, "%d have grown, %d have not", grown, kept);
	CHECK(galloc_reallocate_inplace(NULL, 0, 8, 8) == 0);
	void *p = galloc_alloc(8, 8);
	CHECK(galloc_reallocate_inplace(p, 8, 0, 8) == 8);
	CHECK(galloc_reallocate_inplace(p, 8, SIZE_MAX, 8) == 8);
	CHECK(galloc_reallocate_inplace(p, 8, 16, 3) == 8);
	galloc_dealloc(p, 8, 8);
}

static void usable(void) {
	int more = 0;
	for (size_t size = 1; size < 300000; size = size * 5 / 4 + 1) for (size_t align = 1; align <= 8192; align *= 2) {
		size_t n = galloc_usable_size(size, align);
		CHECK(n >= size && galloc_usable_size(n, align) == n, "%zu, align %zu: %zu", size, align, n);
		void *p = galloc_alloc(size, align);
		CHECK(galloc_reallocate_inplace(p, size, n, align) == n, "%zu to %zu, align %zu", size, n, align);
		fill(p, n, 1);
		galloc_dealloc(p, n, align);
		more += n > size;
	}
	CHECK(more > 100, "%d", more);
	CHECK(galloc_usable_size(0, 8) == 0);
	CHECK(galloc_usable_size(SIZE_MAX, 8) == SIZE_MAX);
	CHECK(galloc_usable_size(10, 0) == 10);
	CHECK(galloc_usable_size(10, 3) == 10);
}

static void size_zero(void) {
	for (size_t align = 1; align <= 1 << 20; align *= 2) {
		void *p = galloc_alloc(0, align), *q = galloc_alloc_zeroed(0, align), *r = galloc_allocate(0, align);
		CHECK(p != NULL && q != NULL && r != NULL);
		CHECK((uintptr_t)p % align == 0 && (uintptr_t)q % align == 0 && (uintptr_t)r % align == 0, "align %zu: %p", align, p);
		galloc_dealloc(p, 0, align);
		galloc_deallocate(q, 0, align);

		char *s = galloc_realloc(r, 0, align, 100);
		CHECK(s != NULL && s != r);
		fill(s, 100, 1);
		r = galloc_realloc(s, 100, align, 0);
		CHECK(r != NULL && (uintptr_t)r % align == 0);
		galloc_dealloc(r, 0, align);
	}
	galloc_dealloc((void *)1, 0, 1); // what Rust would call dangling
	galloc_dealloc(NULL, 8, 8);
	galloc_deallocate(NULL, 0, 0);
	char *p = galloc_realloc(NULL, 0, 8, 100), *q = galloc_realloc((void *)8, 0, 8, 100), *r = galloc_realloc(NULL, 50, 8, 100);
	CHECK(p != NULL && q != NULL && r != NULL && p != q && q != r);
	galloc_dealloc(p, 100, 8);
	galloc_dealloc(q, 100, 8);
	galloc_dealloc(r, 100, 8);
}

static void bad_layouts(void) {
	static const size_t bad[][2] = {
		{8, 0}, {8, 3}, {8, 6}, {8, 12}, {8, SIZE_MAX}, {8, SIZE_MAX - 7}, {0, 0}, {0, 3}, {SIZE_MAX, 1}, {SIZE_MAX, 8}, {SIZE_MAX, SIZE_MAX},
		{(size_t)PTRDIFF_MAX + 1, 1}, {PTRDIFF_MAX, 2}, {1, (size_t)1 << (sizeof(size_t) * 8 - 1)}, {SIZE_MAX - 4095, 4096},
	};
	void *live = galloc_alloc(100, 8);
	fill(live, 100, 3);
	EACH(b, bad) {
		size_t size = bad[b_][0], align = bad[b_][1];
		CHECK(galloc_alloc(size, align) == NULL, "%zu, %zu", size, align);
		CHECK(galloc_alloc_zeroed(size, align) == NULL, "%zu, %zu", size, align);
		CHECK(galloc_allocate(size, align) == NULL, "%zu, %zu", size, align);
		CHECK(galloc_realloc(live, 100, 8, align == 8 ? size : SIZE_MAX) == NULL);
		CHECK(align == 8 || galloc_realloc(live, size, align, 10) == NULL || size == 0, "%zu, %zu", size, align);
		CHECK(galloc_reallocate(live, 100, SIZE_MAX, 8) == NULL);
		galloc_dealloc(live, size, align); // does nothing
		galloc_deallocate(live, size, align);
	}
	// The layouts are valid, but there is no such memory.
	if (sizeof(size_t) == 8) {
		CHECK(galloc_alloc(PTRDIFF_MAX, 1) == NULL);
		CHECK(galloc_alloc((size_t)1 << 60, 8) == NULL);
		CHECK(galloc_alloc(8, (size_t)1 << 62) == NULL);
		CHECK(galloc_realloc(live, 100, 8, (size_t)1 << 61) == NULL);
	}
	CHECK(holds(live, 100, 3));
	galloc_dealloc(live, 100, 8);
}

// Threads that hand half of their blocks to the next thread, and end, again and again.
enum { THREADS = 8, SLOTS = 64, STEPS = 20000 };

// Blocks of 8 to 4000 bytes that begin with their size, or NULL.
static void *mailbox[THREADS][SLOTS];

static void *worker(void *arg) {
	size_t id = (size_t)(uintptr_t)arg;
	uint32_t random = (uint32_t)id * 2654435761u + 1;
	size_t *own[SLOTS] = {0};
	for (int step = 0; step < STEPS; step++) {
		random = random * 1664525 + 1013904223;
		size_t slot = random >> 8 & (SLOTS - 1), size = 8 + (random >> 16) % 4000;
		size_t *old = own[slot];
		if (random & 1) old = __atomic_exchange_n(&mailbox[(id + 1) % THREADS][slot], old, __ATOMIC_ACQ_REL);
		if (random & 2 && old != NULL) {
			CHECK(holds(old + 1, *old - 8, (int)*old));
			size_t *p = galloc_realloc(old, *old, 8, size);
			CHECK(holds(p + 1, (*p < size ? *p : size) - 8, (int)*p));
			old = p;
		} else {
			if (old != NULL) {
				CHECK(holds(old + 1, *old - 8, (int)*old));
				galloc_dealloc(old, *old, 8);
			}
			old = galloc_alloc(size, 8);
		}
		*old = size;
		fill(old + 1, size - 8, (int)size);
		own[slot] = old;
	}
	for (int i = 0; i < SLOTS; i++)
		if (own[i] != NULL) galloc_dealloc(own[i], *own[i], 8);
	return NULL;
}

static void threads(void) {
	for (int round = 0; round < 4; round++) {
		pthread_t t[THREADS];
		for (size_t i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)i) == 0);
		for (int i = 0; i < THREADS; i++) CHECK(pthread_join(t[i], NULL) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j < SLOTS; j++)
			if (mailbox[i][j] != NULL) galloc_dealloc(mailbox[i][j], *(size_t *)mailbox[i][j], 8);
}

// alloc-shrink-oob-read of Rust's tests: rows are grown and shrunk in pairs, from both ends, and
// all are compared after each step.
static void rows(void) {
	enum { ROWS = 16, LARGE = 160 };
	unsigned char *row[ROWS];
	size_t size[ROWS];
	for (int i = 0; i < ROWS; i++) {
		size[i] = 10 + 10 * (size_t)(i / 2);
		row[i] = galloc_allocate(size[i], 1);
		fill(row[i], size[i], i);
	}
	for (int up = 0; up < 2; up++) for (int grow = 1; grow >= 0; grow--) for (int k = 0; k < ROWS; k++) {
		int i = up ? k : ROWS - 1 - k;
		size_t was = size[i], to = grow ? LARGE : 10 + 10 * (size_t)(i / 2);
		row[i] = galloc_reallocate(row[i], was, to, 1);
		size[i] = to;
		CHECK(holds(row[i], was < to ? was : to, i), "row %d", i);
		fill(row[i], to, i);
		for (int j = 0; j < ROWS; j++) CHECK(holds(row[j], size[j], j), "row %d after row %d", j, i);
	}
	for (int i = 0; i < ROWS; i++) galloc_deallocate(row[i], size[i], 1);
}

static void name(void) {
	const char *n = galloc_name();
	CHECK(n == galloc_name());
	printf("%s\n", n);
}

static void double_free(void) {
	void *p = galloc_alloc(100000, 8);
	galloc_dealloc(p, 100000, 8);
	for (int i = 0; i < 100; i++) galloc_dealloc(p, 100000, 8);
}

MAIN({"alignments", alignments}, {"zeroed", zeroed}, {"realloc", realloc_keeps}, {"inplace", inplace}, {"usable", usable}, {"size zero", size_zero},
	{"bad layouts", bad_layouts}, {"threads", threads}, {"rows", rows}, {"name", name}, {"double free", double_free})
