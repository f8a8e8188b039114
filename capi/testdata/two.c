// A host in C that loads two libraries with galloc in them, libgalloc and counting: two runtimes of
// Go, two allocators.
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

struct library {
	void *(*alloc)(size_t, size_t);
	void (*dealloc)(void *, size_t, size_t);
	void *(*realloc)(void *, size_t, size_t, size_t);
	const char *(*name)(void);
};

static uint64_t (*go_mallocs)(void);
static void (*gc)(void);
static void (*counting_read)(uint64_t *);

static struct library libraries[2];

static void *symbol(void *handle, const char *name) {
	void *p = dlsym(handle, name);
	CHECK(p != NULL, "%s", dlerror());
	return p;
}

static void *load(struct library *l, const char *file, int flags) {
	void *handle = dlopen(file, RTLD_NOW | flags);
	CHECK(handle != NULL, "%s", dlerror());
	*(void **)&l->alloc = symbol(handle, "galloc_alloc");
	*(void **)&l->dealloc = symbol(handle, "galloc_dealloc");
	*(void **)&l->realloc = symbol(handle, "galloc_realloc");
	*(void **)&l->name = symbol(handle, "galloc_name");
	return handle;
}

enum { SLOTS = 500 };

static void *work(void *arg) {
	static const size_t steps = 20000;
	unsigned char *p[2][SLOTS] = {{NULL}};
	size_t size[2][SLOTS];
	uint32_t random = (uint32_t)(uintptr_t)arg;
	for (size_t i = 0; i < steps; i++) {
		random = random * 1664525 + 1013904223;
		int lib = random >> 31; // the same thread uses both
		size_t slot = (random >> 8) % SLOTS, n = 1 + (random >> 12) % 3000;
		unsigned char **b = &p[lib][slot];
		if (*b != NULL) {
			CHECK((*b)[0] == (unsigned char)(slot + lib) && (*b)[size[lib][slot] - 1] == (unsigned char)(slot + lib), "a block of library %d", lib);
			if (random & 1) {
				libraries[lib].dealloc(*b, size[lib][slot], 8);
				*b = libraries[lib].alloc(n, 8);
			} else
				*b = libraries[lib].realloc(*b, size[lib][slot], 8, n);
		} else
			*b = libraries[lib].alloc(n, 8);
		CHECK(*b != NULL);
		memset(*b, (int)(slot + (size_t)lib), n);
		size[lib][slot] = n;
		if (i % 5000 == 0) gc();
	}
	for (int lib = 0; lib < 2; lib++)
		for (int i = 0; i < SLOTS; i++)
			if (p[lib][i] != NULL) libraries[lib].dealloc(p[lib][i], size[lib][i], 8);
	return NULL;
}

static void two(int flags) {
	void *handle = load(&libraries[0], getenv("LIBGALLOC"), flags);
	void *counting = load(&libraries[1], getenv("LIBCOUNTING"), flags);
	*(void **)&go_mallocs = symbol(counting, "counting_go_mallocs");
	*(void **)&gc = symbol(counting, "counting_gc");
	*(void **)&counting_read = symbol(counting, "counting_read");
	CHECK(strncmp(libraries[0].name(), "galloc heap, registered at ", 27) == 0, "%s", libraries[0].name());
	CHECK(strncmp(libraries[1].name(), "counting heap, registered at ", 29) == 0, "%s", libraries[1].name());
	CHECK(go_mallocs() > 0);

	pthread_t t[4];
	for (size_t i = 0; i < 4; i++) CHECK(pthread_create(&t[i], NULL, work, (void *)(uintptr_t)(i + 1)) == 0);
	for (int i = 0; i < 4; i++) CHECK(pthread_join(t[i], NULL) == 0);

	uint64_t c[6];
	counting_read(c);
	// About half of the calls went there, and every block has been freed.
	CHECK(c[0] > 5000 && c[0] < 50000 && c[2] > 5000 && c[0] == c[3] && c[5] == 0, "%d allocs, %d deallocs", (int)c[0], (int)c[3]);

	// Go's libraries are never unloaded: they work after dlclose.
	CHECK(dlclose(handle) == 0);
	libraries[0].dealloc(libraries[0].alloc(8, 8), 8, 8);
}

static void local(void) { two(RTLD_LOCAL); }
static void global(void) { two(RTLD_GLOBAL); }

MAIN({"local", local}, {"global", global})
