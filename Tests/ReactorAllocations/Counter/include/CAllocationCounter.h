// SPDX-License-Identifier: Apache-2.0

// Counts the calls of malloc and its relatives by every thread of a process that links it, and the
// retains of the Swift runtime. For programs that prove that a path does neither.

#ifndef BSR_CALLOCATIONCOUNTER_H
#define BSR_CALLOCATIONCOUNTER_H

#include <stdbool.h>
#include <stdint.h>

// Whether allocations are counted; not under a sanitizer, whose own malloc must stay.
bool allocation_counter_counts(void);

// Begins or ends to count retains. Meanwhile the runtime takes only plain objects: no strings.
void allocation_counter_watch_retains(bool watches);

uint64_t allocation_counter_allocations(void);
uint64_t allocation_counter_retains(void);

#endif
