// SPDX-License-Identifier: Apache-2.0

// What the Glibc module hides from Swift: requests that are macros, GNU extensions, and structures
// of newer kernels. A function returns 0 or more on success and a negative errno on failure.

#ifndef BSR_CLINUX_H
#define BSR_CLINUX_H

#include <linux/falloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The alignments that direct I/O needs on the open file, in bytes (statx, STATX_DIOALIGN; block
// devices of kernels that do not report it: the logical block size). -EOPNOTSUPP where the file
// cannot do direct I/O or nobody can tell.
int clinux_direct_alignment(int descriptor, uint32_t *memory, uint32_t *offset);

// Switches an open file to direct I/O or back, and to blocking.
int clinux_set_direct(int descriptor, int direct);

// Reads what the page cache holds, without waiting for a disk (RWF_NOWAIT).
ssize_t clinux_read_cached(int descriptor, void *memory, size_t bytes, uint64_t offset);

// Writes, and returns when the bytes are on stable storage (RWF_DSYNC).
ssize_t clinux_write_durably(int descriptor, const void *memory, size_t bytes, uint64_t offset);

// The per-write flag of io_uring that does the same.
uint32_t clinux_durable_write_flag(void);

// The size of an open block device in bytes (BLKGETSIZE64).
int clinux_device_byte_count(int descriptor, uint64_t *bytes);

// Discards a range of an open block device (BLKDISCARD); what it reads afterwards is undefined.
int clinux_device_discard(int descriptor, uint64_t offset, uint64_t length);

// Whether a TCP socket is closed by a reset or by both ends: 1 or 0 (TCP_INFO).
int clinux_is_tcp_closed(int descriptor);

// Whether neither end of a TCP socket has ended its stream: 1 or 0 (TCP_INFO).
int clinux_is_tcp_established(int descriptor);

// The process, user and group at the other end of a unix socket (SO_PEERCRED).
int clinux_peer_credentials(int descriptor, int32_t *process, uint32_t *user, uint32_t *group);

// Raises the limit of locked memory as far as the process may.
int clinux_raise_locked_memory_limit(void);

// How often the calling thread has given up the processor of its own accord.
int64_t clinux_count_sleeps(void);

// A counter that wakes a ring, read and written as 8 bytes.
int clinux_make_event_counter(void);

// A non-blocking descriptor that delivers the given signals, which it blocks in the calling thread.
int clinux_watch_signals(const int32_t *numbers, size_t count);

// The number of the next signal on such a descriptor; -EAGAIN when there is none.
int clinux_next_signal(int descriptor);

// The message of an error number, ended by a zero.
void clinux_describe_error(int code, char *text, size_t capacity);

#endif
