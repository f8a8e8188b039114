// A host in C that allocates before Go has started: in constructors of several priorities, and in a
// thread that one of them begins. It is linked with libgalloc.
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "../galloc.h"
#include "check.h"

enum { BLOCKS = 200 };

struct row {
	char *blocks[BLOCKS];
	char letter;
};

static struct row first = {.letter = 'a'}, second = {.letter = 'b'}, third = {.letter = 'c'};
static char *zeroed;
static int child_status;

static size_t size_of(int i) { return (size_t)i * 7 + 1; }
static size_t align_of(int i) { return (size_t)1 << i % 13; }

static void check(char *p, size_t size, char letter) {
	CHECK(p != NULL);
	for (size_t i = 0; i < size; i++) CHECK(p[i] == letter, "byte %zu of %zu is %d", i, size, p[i]);
}

static void *fill(void *arg) {
	struct row *r = arg;
	for (int i = 0; i < BLOCKS; i++) {
		char *p = galloc_alloc(size_of(i) / 2 + 1, align_of(i));
		CHECK(p != NULL && (uintptr_t)p % align_of(i) == 0);
		memset(p, r->letter, size_of(i) / 2 + 1);
		p = galloc_realloc(p, size_of(i) / 2 + 1, align_of(i), size_of(i));
		CHECK(p != NULL && (uintptr_t)p % align_of(i) == 0);
		check(p, size_of(i) / 2 + 1 < size_of(i) ? size_of(i) / 2 + 1 : size_of(i), r->letter);
		memset(p, r->letter, size_of(i));
		r->blocks[i] = p;
	}
	return NULL;
}

__attribute__((constructor(101))) static void at_first(void) {
	alarm(60); // ends a host that hangs
	fill(&first);
}

// Like the constructor of a C++ static.
__attribute__((constructor)) static void at_last(void) {
	pthread_t t;
	CHECK(pthread_create(&t, NULL, fill, &second) == 0);
	fill(&third);
	CHECK(pthread_join(t, NULL) == 0);
	zeroed = galloc_alloc_zeroed(1 << 20, 64);
	check(zeroed, 1 << 20, 0);
	CHECK(galloc_alloc(SIZE_MAX, 1) == NULL && galloc_alloc(1, 3) == NULL && galloc_alloc(0, 64) != NULL);
	void *p = galloc_allocate(100, 8);
	CHECK(p != NULL);
	galloc_deallocate(p, 100, 8);
	CHECK(galloc_name() != NULL);
}

static void use(struct row *r) {
	for (int i = 0; i < BLOCKS; i++) {
		char *p = r->blocks[i];
		check(p, size_of(i), r->letter);
		// With the shared library, Go is ready before the constructors, and the block may grow.
		if (galloc_reallocate_inplace(p, size_of(i), size_of(i) + 1, align_of(i)) == size_of(i) + 1)
			CHECK(galloc_reallocate_inplace(p, size_of(i) + 1, size_of(i), align_of(i)) == size_of(i));
		if (i % 2 == 0) {
			p = galloc_realloc(p, size_of(i), align_of(i), 3 * size_of(i));
			check(p, size_of(i), r->letter);
			galloc_dealloc(p, 3 * size_of(i), align_of(i));
		} else {
			galloc_dealloc(p, size_of(i), align_of(i));
		}
	}
}

static void blocks(void) {
	CHECK(strncmp(galloc_name(), "galloc heap", 11) == 0, "%s", galloc_name());
	CHECK(galloc_name() == galloc_name());
	use(&first);
	use(&second);
	use(&third);
	galloc_dealloc(zeroed, 1 << 20, 64);
	void *p = galloc_alloc(100, 8);
	CHECK(p != NULL);
	galloc_dealloc(p, 100, 8);
}

// fork_child forks before Go has started: it starts in the child too. With the shared library it
// has started, and the child can only prepare for exec.
__attribute__((constructor(102))) static void fork_child(void) {
	int started = strstr(galloc_name(), "before Go has started") == NULL;
	pid_t pid = fork();
	if (pid != 0) {
		CHECK(pid > 0 && waitpid(pid, &child_status, 0) == pid);
		return;
	}
	if (started) _exit(7);
	alarm(60);
	child_status = -1; // the child: its main calls blocks too
}

static void children(void) {
	blocks();
	if (child_status == -1) _exit(7);
	CHECK(WIFEXITED(child_status) && WEXITSTATUS(child_status) == 7, "status %#x", child_status);
}

MAIN({"blocks", children})
