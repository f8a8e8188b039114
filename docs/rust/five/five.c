// The five names of 2015, for the functions of package capi.
#include <galloc.h>

void *__rust_allocate(size_t size, size_t align) { return galloc_allocate(size, align); }

void __rust_deallocate(void *ptr, size_t old_size, size_t align) { galloc_deallocate(ptr, old_size, align); }

void *__rust_reallocate(void *ptr, size_t old_size, size_t size, size_t align) {
	return galloc_reallocate(ptr, old_size, size, align);
}

size_t __rust_reallocate_inplace(void *ptr, size_t old_size, size_t size, size_t align) {
	return galloc_reallocate_inplace(ptr, old_size, size, align);
}

size_t __rust_usable_size(size_t size, size_t align) { return galloc_usable_size(size, align); }
