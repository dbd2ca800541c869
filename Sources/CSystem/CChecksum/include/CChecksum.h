// SPDX-License-Identifier: Apache-2.0
#ifndef BSR_CCHECKSUM_H
#define BSR_CCHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Goes on with a CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) over `count` bytes.
///
/// The raw step: `state` is neither preset nor inverted. Start with 0 for the variant of the activity
/// log, with what the last call returned to go on. Uses the processor's instruction if it has one.
uint32_t bsr_crc32c_update(uint32_t state, const void *bytes, size_t count);

/// The same by tables only: what `bsr_crc32c_update` does on a processor without the instruction.
uint32_t bsr_crc32c_update_by_table(uint32_t state, const void *bytes, size_t count);

/// Whether the processor's instruction is used.
bool bsr_crc32c_is_accelerated(void);

/// The common CRC-32C (preset and inverted); `previous` is 0 or the sum of the bytes before.
static inline uint32_t bsr_crc32c(uint32_t previous, const void *bytes, size_t count)
{
    return ~bsr_crc32c_update(~previous, bytes, count);
}

#endif
