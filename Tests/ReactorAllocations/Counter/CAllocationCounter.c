// SPDX-License-Identifier: Apache-2.0

#include "CAllocationCounter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Atomic uint64_t allocations;
static _Atomic uint64_t retains;

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)

bool allocation_counter_counts(void) { return false; }

#else

bool allocation_counter_counts(void) { return true; }

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    allocations++;
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    allocations++;
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *out = memory;
    return 0;
}

void free(void *memory) { __libc_free(memory); }

#endif

// The hook that the Swift runtime keeps for instruments. Compiled code expects a retain to leave nearly
// all registers alone, so the hook has to.
typedef __attribute__((preserve_most)) void *(*retain_function)(void *);
extern retain_function _swift_retain;
extern bool _swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly;
static retain_function original_retain;

static __attribute__((preserve_most)) void *counting_retain(void *object) {
    retains++;
    return original_retain(object);
}

void allocation_counter_watch_retains(bool watches) {
    if (!original_retain) original_retain = _swift_retain;
    _swift_retain = watches ? counting_retain : original_retain;
    _swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly = watches;
}

uint64_t allocation_counter_allocations(void) { return allocations; }
uint64_t allocation_counter_retains(void) { return retains; }
