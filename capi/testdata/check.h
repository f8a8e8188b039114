// The common part of the hosts in this folder.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// CHECK ends the process, a forked one too, with the line and what was expected there.
#define CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: expected %s:", __FILE__, __LINE__, #condition); \
			fprintf(stderr, " " __VA_ARGS__); \
			fprintf(stderr, "\n"); \
			_exit(1); \
		} \
	} while (0)

// A test case is a function without arguments; main runs the one that the command line names.
struct test_case {
	const char *name;
	void (*run)(void);
};

#define MAIN(...) \
	int main(int argc, char **argv) { \
		static const struct test_case cases[] = {__VA_ARGS__}; \
		if (argc != 2) return 99; \
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) \
			if (__builtin_strcmp(cases[i].name, argv[1]) == 0) { \
				cases[i].run(); \
				printf("ok\n"); \
				return 0; \
			} \
		fprintf(stderr, "no case %s\n", argv[1]); \
		return 99; \
	}
