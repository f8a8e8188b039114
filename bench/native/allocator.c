// The name of this malloc. An allocator is identified by functions that only it has, so that a
// failed LD_PRELOAD is noticed.

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "native.h"

void (*sized_free)(void *, size_t);
void (*sized_free_flags)(void *, size_t, int);

// find puts the address of a function into *function, or NULL if the process has none of that name.
// ISO C has no cast from the address of an object to that of a function; POSIX guarantees the same
// representation.
static bool find(const char *name, void *function) {
	void *p = dlsym(RTLD_DEFAULT, name);
	memcpy(function, &p, sizeof p);
	return p != NULL;
}

void allocator_start(void) {
	if (find("sdallocx", &sized_free_flags) || find("mi_free_size", &sized_free) || find("tc_free_sized", &sized_free))
		return;
	find("free_sized", &sized_free);
}

const char *allocator_name(void) {
	static char name[128];
	int (*mallctl)(const char *, void *, size_t *, void *, size_t);
	int (*mi_version)(void);
	const char *(*tc_version)(int *, int *, const char **);
	const char *(*gnu_get_libc_version)(void);

	if (find("mallctl", &mallctl)) {
		const char *version = "";
		size_t n = sizeof version;
		if (mallctl("version", &version, &n, NULL, 0) != 0)
			version = "of an unknown version";
		snprintf(name, sizeof name, "jemalloc %s", version);
	} else if (find("mi_version", &mi_version)) {
		int v = mi_version(); // 209 is 2.0.9
		if (v < 1000)
			snprintf(name, sizeof name, "mimalloc %d.%d.%d", v / 100, v / 10 % 10, v % 10);
		else
			snprintf(name, sizeof name, "mimalloc %d", v);
	} else if (find("tc_version", &tc_version)) {
		int major = 0, minor = 0;
		const char *patch = "";
		tc_version(&major, &minor, &patch);
		snprintf(name, sizeof name, "tcmalloc %d.%d%s", major, minor, patch);
	} else if (find("gnu_get_libc_version", &gnu_get_libc_version)) {
		snprintf(name, sizeof name, "glibc %s", gnu_get_libc_version());
	} else {
		snprintf(name, sizeof name, "unknown");
	}
	return name;
}
