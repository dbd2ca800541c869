// SPDX-License-Identifier: Apache-2.0

// liburing as Swift sees it, and what Swift cannot import from it: macros and the harvest loop.

#ifndef BSR_CURING_H
#define BSR_CURING_H

// First, so that glibc's types are those of Swift's Glibc module, and in its shape: liburing.h asks for
// another standard, and would declare them a second time.
#if __has_feature(modules)
#pragma clang module import SwiftGlibc
#endif
#include <sys/types.h>

#include <liburing.h>

// One completion, copied out of the ring.
struct curing_completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

// Copies up to `maximum` completions out of the ring, frees their entries and returns their number.
static inline unsigned curing_harvest(struct io_uring *ring, struct curing_completion *out,
                                      unsigned maximum) {
    unsigned head, count = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(ring, head, cqe) {
        if (count == maximum) break;
        out[count].user_data = cqe->user_data;
        out[count].result = cqe->res;
        out[count].flags = cqe->flags;
        count++;
    }
    io_uring_cq_advance(ring, count);
    return count;
}

#endif
