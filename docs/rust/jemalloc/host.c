// Calls foo of the library that it is given, and asks jemalloc what that has allocated. The library is
// opened here, not linked, so that malloc remains libc's: only what means jemalloc gets there.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *find(void *lib, const char *name) {
	void *p = lib == NULL ? NULL : dlsym(lib, name);
	if (p == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return p;
}

int main(int argc, char **argv) {
	(void)argc;
	void *lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	void (*foo)(void) = (void (*)(void))find(lib, "foo");
	int (*mallctl)(const char *, void *, size_t *, void *, size_t) =
		(int (*)(const char *, void *, size_t *, void *, size_t))find(lib, "mallctl");

	foo(); // the first call also takes what is kept, such as the buffer of Rust's stdout
	uint64_t *allocated, *deallocated;
	size_t n = sizeof allocated;
	if (mallctl("thread.allocatedp", &allocated, &n, NULL, 0) != 0 || mallctl("thread.deallocatedp", &deallocated, &n, NULL, 0) != 0)
		return 1;
	uint64_t a = *allocated, d = *deallocated;
	foo();
	printf("jemalloc gave %d bytes to foo, and got %d back\n", (int)(*allocated - a), (int)(*deallocated - d));
	return 0;
}
