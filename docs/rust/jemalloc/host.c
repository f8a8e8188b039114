//go:build ignore

// The program calls foo of the library that it is linked with, and reads from jemalloc how much foo
// has allocated. Blocks of malloc are not counted: malloc is libc's, since libc comes before the
// libraries of a library.
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

	foo(); // the first call also allocates what is kept, such as the buffer of Rust's stdout
	uint64_t *allocated, *deallocated;
	size_t n = sizeof allocated;
	if (mallctl("thread.allocatedp", &allocated, &n, NULL, 0) != 0)
		return 1;
	if (mallctl("thread.deallocatedp", &deallocated, &n, NULL, 0) != 0)
		return 1;
	uint64_t a = *allocated, d = *deallocated;
	foo();
	printf("foo allocated %d bytes from jemalloc, and freed %d\n", (int)(*allocated - a), (int)(*deallocated - d));
	return 0;
}
