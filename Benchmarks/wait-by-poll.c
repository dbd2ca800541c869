// SPDX-License-Identifier: Apache-2.0
// Preloaded under valgrind, which does not know that io_uring_enter may block: it would keep its one
// running thread inside it, and neither the other threads nor a signal would ever get a turn. Here the
// waiting is done by ppoll on the ring, which valgrind does know; the kernel's work is the same.
#define _GNU_SOURCE
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <time.h>

// The kernel does not wake a poll for work that it left to the ring's own thread (DEFER_TASKRUN), so
// that is asked for every so often.
static const long slice = 500 * 1000;

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **first,
                                     unsigned wanted, struct __kernel_timespec *span,
                                     sigset_t *mask) {
    struct pollfd waiting = {.fd = ring->ring_fd, .events = POLLIN};
    long long left = span ? span->tv_sec * 1000000000LL + span->tv_nsec : 1;
    int submitted = io_uring_submit_and_get_events(ring);
    (void)mask;
    while (submitted >= 0 && io_uring_cq_ready(ring) < wanted) {
        struct timespec time = {0, span && left < slice ? left : slice};
        if (left <= 0) return -ETIME;
        if (ppoll(&waiting, 1, &time, 0) < 0) return -errno;
        if (span) left -= slice;
        int more = io_uring_submit_and_get_events(ring);
        if (more < 0) return more;
    }
    if (first) io_uring_peek_cqe(ring, first);
    return submitted;
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned wanted) {
    return io_uring_submit_and_wait_timeout(ring, 0, wanted, 0, 0);
}
