// Counts the allocations of a program and prints them when it ends, to standard error.
//
//     cc -O2 -shared -fPIC -o count.so Benchmarks/allocations/count.c -ldl
//     LD_PRELOAD=./count.so patron lab kmeans ... --iterations 10
//
// The difference between two iteration counts, divided by the difference of the iterations, is what
// a pass allocates.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static atomic_long allocations, mappings;

static void *(*real_malloc)(size_t);
static void *(*real_realloc)(void *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

#define FIND(name) \
    if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

void *malloc(size_t size) {
    FIND(malloc);
    atomic_fetch_add(&allocations, 1);
    return real_malloc(size);
}

void *realloc(void *old, size_t size) {
    FIND(realloc);
    atomic_fetch_add(&allocations, 1);
    return real_realloc(old, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    FIND(posix_memalign);
    atomic_fetch_add(&allocations, 1);
    return real_posix_memalign(result, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    FIND(aligned_alloc);
    atomic_fetch_add(&allocations, 1);
    return real_aligned_alloc(alignment, size);
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    FIND(mmap);
    atomic_fetch_add(&mappings, 1);
    return real_mmap(address, length, protection, flags, file, offset);
}

__attribute__((destructor)) static void report(void) {
    fprintf(
        stderr, "allocations %ld, mappings %ld\n", atomic_load(&allocations),
        atomic_load(&mappings));
}
