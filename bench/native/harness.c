// The common part of all workloads.

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "native.h"

struct thread *crew;
size_t crew_size;
struct thread boss;

// The harness's own memory.

void *map_pages(size_t n, size_t size) {
	size_t bytes;
	unsigned char *p = MAP_FAILED;
	if (!__builtin_mul_overflow(n, size, &bytes)) {
		bytes += bytes == 0; // mappings cannot be empty
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	if (p == MAP_FAILED)
		fail("the harness cannot map %zu times %zu bytes for itself: use smaller parameters", n, size);
	for (size_t i = 0; i < bytes; i += 4096)
		((volatile unsigned char *)p)[i] = 0;
	return p;
}

static void thread_prepare(struct thread *t, uint64_t seed) {
	t->rng.state = seed;
	if (common[LATENCY].value != 0)
		t->histogram = MAP_ARRAY(struct histogram, 1);
}

void crew_prepare(size_t n, size_t slots) {
	crew = MAP_ARRAY(struct thread, n);
	crew_size = n;
	for (size_t i = 0; i < n; i++) {
		crew[i].id = i;
		thread_prepare(&crew[i], common[SEED].value + i * 0x1000000);
		crew[i].slots = MAP_ARRAY(struct slot, slots);
		crew[i].slot_count = slots;
	}
	thread_prepare(&boss, setup_rng().state);
}

struct rng setup_rng(void) {
	return (struct rng){common[SEED].value - 1};
}

void free_slots(struct thread *t) {
	for (size_t i = 0; i < t->slot_count; i++) {
		if (t->slots[i].p != NULL) {
			block_free(t, t->slots[i].p);
			t->slots[i].p = NULL;
		}
	}
}

void out_of_memory(size_t size) {
	fail("an allocation of %zu bytes failed: use smaller parameters", size);
}

// The clock.

uint64_t measured_ns;
static uint64_t began_ns;

uint64_t clock_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void clock_start(void) {
	began_ns = clock_ns();
}

void clock_stop(void) {
	measured_ns += clock_ns() - began_ns;
}

// Threads that start at once.

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t ready, done;
	bool released;
	void (*before)(struct thread *), (*work)(struct thread *), (*after)(struct thread *);
} team = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *team_member(void *arg) {
	struct thread *t = arg;
	t->self = pthread_self();
	if (team.before != NULL)
		team.before(t);
	pthread_mutex_lock(&team.lock);
	if (++team.ready == crew_size)
		pthread_cond_broadcast(&team.changed);
	while (!team.released)
		pthread_cond_wait(&team.changed, &team.lock);
	pthread_mutex_unlock(&team.lock);

	time_calls(t, true);
	team.work(t);
	if (!t->handed_over)
		team_finish(t);
	return NULL;
}

void team_finish(struct thread *t) {
	time_calls(t, false);
	pthread_mutex_lock(&team.lock);
	if (++team.done == crew_size) {
		clock_stop();
		pthread_cond_broadcast(&team.changed);
	}
	while (team.done < crew_size)
		pthread_cond_wait(&team.changed, &team.lock);
	pthread_mutex_unlock(&team.lock);
	if (team.after != NULL)
		team.after(t);
}

void together(void (*before)(struct thread *), void (*work)(struct thread *), void (*after)(struct thread *)) {
	team.before = before;
	team.work = work;
	team.after = after;
	team.ready = team.done = 0;
	team.released = false;
	for (size_t i = 0; i < crew_size; i++) {
		pthread_t id; // the thread records its own id
		crew[i].handed_over = false;
		int err = pthread_create(&id, NULL, team_member, &crew[i]);
		if (err != 0)
			fail("thread %zu cannot be started: %s", i, strerror(err));
	}
	pthread_mutex_lock(&team.lock);
	while (team.ready < crew_size)
		pthread_cond_wait(&team.changed, &team.lock);
	clock_start();
	team.released = true;
	pthread_cond_broadcast(&team.changed);
	while (team.done < crew_size)
		pthread_cond_wait(&team.changed, &team.lock);
	pthread_mutex_unlock(&team.lock);
	for (size_t i = 0; i < crew_size; i++)
		pthread_join(crew[i].self, NULL);
}

// Resident memory.

static uint64_t base;

// status returns a line of /proc/self/status in bytes; 0 if there is none.
static uint64_t status(const char *key) {
	static char text[16384];
	int file = open("/proc/self/status", O_RDONLY);
	if (file < 0)
		return 0;
	ssize_t n = read(file, text, sizeof text - 1);
	close(file);
	if (n <= 0)
		return 0;
	text[n] = 0;
	const char *line = strstr(text, key);
	return line == NULL ? 0 : strtoull(line + strlen(key), NULL, 10) << 10;
}

void base_memory(void) {
	int file = open("/proc/self/clear_refs", O_WRONLY);
	if (file >= 0) {
		// Otherwise the peak covers the whole process, which is hardly more.
		ssize_t ignored __attribute__((unused)) = write(file, "5", 1);
		close(file);
	}
	base = status("\nVmRSS:");
}

static uint64_t above_base(uint64_t bytes) {
	return bytes > base ? bytes - base : 0;
}

uint64_t resident(void) {
	return above_base(status("\nVmRSS:"));
}

uint64_t peak_memory(void) {
	return above_base(status("\nVmHWM:"));
}
