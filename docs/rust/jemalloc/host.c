//go:build ignore

// Calls foo of the library that it is linked with, and asks jemalloc what that has allocated. What malloc
// gives is not in it: that is libc's, which comes before the libraries of a library.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

void foo(void);

int main(void) {
	int (*mallctl)(const char *, void *, size_t *, void *, size_t);
	*(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
	if (mallctl == NULL) {
		puts("there is no jemalloc");
		return 1;
	}

	foo(); // the first call also takes what is kept, such as the buffer of Rust's stdout
	uint64_t *allocated, *deallocated;
	size_t n = sizeof allocated;
	if (mallctl("thread.allocatedp", &allocated, &n, NULL, 0) != 0)
		return 1;
	if (mallctl("thread.deallocatedp", &deallocated, &n, NULL, 0) != 0)
		return 1;
	uint64_t a = *allocated, d = *deallocated;
	foo();
	printf("jemalloc gave %d bytes to foo, and got %d back\n", (int)(*allocated - a), (int)(*deallocated - d));
	return 0;
}
