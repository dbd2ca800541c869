// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int clinux_direct_alignment(int descriptor, uint32_t *memory, uint32_t *offset) {
    struct statx status = {0};
    if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_TYPE | STATX_DIOALIGN, &status) < 0)
        return -errno;
    if (status.stx_mask & STATX_DIOALIGN) {
        if (status.stx_dio_offset_align == 0) return -EOPNOTSUPP;
        *memory = status.stx_dio_mem_align;
        *offset = status.stx_dio_offset_align;
        return 0;
    }
    if ((status.stx_mode & 0170000) != 0060000) return -EOPNOTSUPP;
    int block = 0;
    if (ioctl(descriptor, BLKSSZGET, &block) < 0) return -errno;
    *memory = (uint32_t)block;
    *offset = (uint32_t)block;
    return 0;
}

int clinux_device_byte_count(int descriptor, uint64_t *bytes) {
    return ioctl(descriptor, BLKGETSIZE64, bytes) < 0 ? -errno : 0;
}

int clinux_device_discard(int descriptor, uint64_t offset, uint64_t length) {
    uint64_t range[2] = {offset, length};
    return ioctl(descriptor, BLKDISCARD, range) < 0 ? -errno : 0;
}

static int tcp_state(int descriptor) {
    struct tcp_info information = {0};
    socklen_t length = sizeof information;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &information, &length) < 0) return -errno;
    return information.tcpi_state;
}

int clinux_is_tcp_closed(int descriptor) {
    int state = tcp_state(descriptor);
    return state < 0 ? state : state == TCP_CLOSE;
}

int clinux_is_tcp_established(int descriptor) {
    int state = tcp_state(descriptor);
    return state < 0 ? state : state == TCP_ESTABLISHED;
}

int clinux_peer_credentials(int descriptor, int32_t *process, uint32_t *user, uint32_t *group) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    *process = credentials.pid;
    *user = credentials.uid;
    *group = credentials.gid;
    return 0;
}

int clinux_set_direct(int descriptor, int direct) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) return -errno;
    flags &= ~(O_NONBLOCK | O_DIRECT);
    return fcntl(descriptor, F_SETFL, direct ? flags | O_DIRECT : flags) < 0 ? -errno : 0;
}

ssize_t clinux_read_cached(int descriptor, void *memory, size_t bytes, uint64_t offset) {
    struct iovec vector = {memory, bytes};
    ssize_t result = preadv2(descriptor, &vector, 1, (off_t)offset, RWF_NOWAIT);
    return result < 0 ? -errno : result;
}

ssize_t clinux_write_durably(int descriptor, const void *memory, size_t bytes, uint64_t offset) {
    struct iovec vector = {(void *)memory, bytes};
    ssize_t result = pwritev2(descriptor, &vector, 1, (off_t)offset, RWF_DSYNC);
    return result < 0 ? -errno : result;
}

uint32_t clinux_durable_write_flag(void) { return RWF_DSYNC; }

int clinux_raise_locked_memory_limit(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0) return 0;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return -errno;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? -errno : 0;
}

int64_t clinux_count_sleeps(void) {
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) < 0 ? 0 : usage.ru_nvcsw;
}

int clinux_make_event_counter(void) {
    int descriptor = eventfd(0, EFD_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int clinux_watch_signals(const int32_t *numbers, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t index = 0; index < count; index++) {
        if (sigaddset(&set, numbers[index]) < 0) return -errno;
    }
    int result = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (result != 0) return -result;
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

int clinux_next_signal(int descriptor) {
    struct signalfd_siginfo information;
    ssize_t result = read(descriptor, &information, sizeof information);
    return result == sizeof information ? (int)information.ssi_signo : -EAGAIN;
}

void clinux_describe_error(int code, char *text, size_t capacity) {
    char buffer[128];
    snprintf(text, capacity, "%s", strerror_r(code, buffer, sizeof buffer));
}
