//go:build ignore

// The program of main.rs, in C.
#include <stdint.h>
#include <stdio.h>

void *__rust_allocate(size_t size, size_t align);
void __rust_deallocate(void *ptr, size_t old_size, size_t align);
void *__rust_reallocate(void *ptr, size_t old_size, size_t size, size_t align);
size_t __rust_reallocate_inplace(void *ptr, size_t old_size, size_t size, size_t align);
size_t __rust_usable_size(size_t size, size_t align);

int main(void) {
	int *a = __rust_allocate(sizeof *a, _Alignof(int));
	*a = 8;
	printf("%d\n", *a);
	__rust_deallocate(a, sizeof *a, _Alignof(int));

	uint32_t *v = __rust_allocate(100 * sizeof *v, _Alignof(uint32_t)), sum = 0;
	for (int i = 0; i < 100; i++)
		v[i] = 1;
	v = __rust_reallocate(v, 100 * sizeof *v, 1000 * sizeof *v, _Alignof(uint32_t));
	for (int i = 0; i < 100; i++)
		sum += v[i];
	printf("%u of 1000\n", sum);
	__rust_deallocate(v, 1000 * sizeof *v, _Alignof(uint32_t));

	void *p = __rust_allocate(100, 8);
	size_t n = __rust_usable_size(100, 8), grown = __rust_reallocate_inplace(p, 100, 1 << 20, 8);
	printf("%zu of 100 usable, and %zu after growing in place\n", n, grown);
	__rust_deallocate(p, 100, 8);
	return 0;
}
