// Leaks and a double free, each by a function of its own, for the stacks of C in reports.

#include <stdio.h>
#include <string.h>

#include "../galloc.h"

void checked_leaks(void);

__attribute__((noinline)) void *first_leak(void) { return galloc_alloc(100, 8); }
__attribute__((noinline)) void *second_leak(void) { return galloc_realloc(galloc_alloc(8, 8), 8, 8, 2000); }
__attribute__((noinline)) void *third_leak(void) { return galloc_alloc_zeroed(30, 1); }

__attribute__((noinline)) static void free_twice(void) {
	void *p = galloc_alloc(24, 8);
	galloc_dealloc(p, 24, 8);
	galloc_dealloc(p, 24, 8);
}

int main(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "double free") == 0) {
		free_twice();
		return 0;
	}
	galloc_dealloc(galloc_alloc(1, 1), 1, 1);
	void *leaks[] = {first_leak(), second_leak(), third_leak()};
	checked_leaks();
	return leaks[0] == NULL;
}
