// The cost of a pair of alloc and dealloc from C, compared with malloc and free in the same
// process. The calls take turns in short rounds, so that other load on the machine affects both;
// the program prints the median of the rounds. See run.sh.
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../galloc.h"

enum { ROUNDS = 101, PAIRS = 20000, LIVE = 32 };

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int less(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static double median(double *t) {
	qsort(t, ROUNDS, sizeof *t, less);
	return t[ROUNDS / 2];
}

// touch writes the first byte, so that no compiler leaves the pair out.
#define TOUCH(p) (*(volatile char *)(p) = 1)

// Each measured loop frees the block of LIVE pairs ago, and allocates one.
#define LOOP(name, allocate, release) \
	static double name(size_t size) { \
		void *live[LIVE]; \
		for (int i = 0; i < LIVE; i++) live[i] = allocate; \
		double start = now(); \
		for (int i = 0; i < PAIRS; i++) { \
			void *old = live[i % LIVE]; \
			release; \
			void *p = allocate; \
			TOUCH(p); \
			live[i % LIVE] = p; \
		} \
		double t = (now() - start) / PAIRS; \
		for (int i = 0; i < LIVE; i++) { \
			void *old = live[i]; \
			release; \
		} \
		return t; \
	}

LOOP(libc, malloc(size), free(old))
LOOP(ours, galloc_alloc(size, 8), galloc_dealloc(old, size, 8))
LOOP(libc_zeroed, calloc(1, size), free(old))
LOOP(ours_zeroed, galloc_alloc_zeroed(size, 8), galloc_dealloc(old, size, 8))

// crossing measures the way to Go and back: the block of size 0 takes the shortest way.
static double crossing(size_t size) {
	(void)size;
	double start = now();
	for (int i = 0; i < PAIRS; i++) (void)!galloc_alloc(0, 8);
	return (now() - start) / PAIRS;
}

static void row(const char *what, size_t size, double (*a)(size_t), double (*b)(size_t)) {
	static double ta[ROUNDS], tb[ROUNDS];
	for (int i = 0; i < ROUNDS; i++) {
		ta[i] = a(size);
		if (b != NULL) tb[i] = b(size);
	}
	printf("C     %-22s %6zu B  galloc %7.1f ns", what, size, median(ta));
	if (b != NULL) printf("  libc %7.1f ns", median(tb));
	printf("\n");
}

static void *rows(void *arg) {
	row(arg, 24, ours, libc);
	row(arg, 1000, ours, libc);
	row(arg, 100000, ours, libc);
	return NULL;
}

// THREADS threads run at the same time: more than there are processors, and so more than Go's
// runtime lets in at once.
enum { THREADS = 8 };

static double (*loop)(size_t);

static void *gang_member(void *arg) {
	loop(24);
	return arg;
}

static double gang(void) {
	pthread_t t[THREADS];
	double start = now();
	for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, gang_member, NULL);
	for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
	return (now() - start) / PAIRS / THREADS;
}

static double ours_gang(size_t size) {
	(void)size;
	loop = ours;
	return gang();
}

static double libc_gang(size_t size) {
	(void)size;
	loop = libc;
	return gang();
}

int main(void) {
	printf("C     %s\n", galloc_name());
	row("one call", 0, crossing, NULL);
	rows("pair");
	row("pair, zeroed", 1000, ours_zeroed, libc_zeroed);
	row("pair, zeroed", 100000, ours_zeroed, libc_zeroed);
	pthread_t t;
	pthread_create(&t, NULL, rows, "pair, another thread");
	pthread_join(t, NULL);
	row("pair, of 8 threads", 24, ours_gang, libc_gang);
	return 0;
}
