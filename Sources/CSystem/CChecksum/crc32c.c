// SPDX-License-Identifier: Apache-2.0
#include "CChecksum.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#define POLYNOMIAL 0x82F63B78u

typedef uint32_t (*update_function)(uint32_t, const void *, size_t);

// table[0] is the bytewise table; table[n] goes on over n zero bytes ("slicing by 8",
// Kounavis and Berry 2005).
static uint32_t table[8][256];
static update_function update = bsr_crc32c_update_by_table;

uint32_t bsr_crc32c_update_by_table(uint32_t state, const void *bytes, size_t count)
{
    const unsigned char *next = bytes;

    for (; count >= 8; count -= 8, next += 8) {
        uint32_t low = state ^ ((uint32_t)next[0] | (uint32_t)next[1] << 8
                                | (uint32_t)next[2] << 16 | (uint32_t)next[3] << 24);
        state = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF]
            ^ table[5][low >> 16 & 0xFF] ^ table[4][low >> 24]
            ^ table[3][next[4]] ^ table[2][next[5]] ^ table[1][next[6]] ^ table[0][next[7]];
    }
    for (; count > 0; count--, next++)
        state = state >> 8 ^ table[0][(state ^ *next) & 0xFF];
    return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32_t update_by_instruction(uint32_t state, const void *bytes, size_t count)
{
    const unsigned char *next = bytes;
    uint64_t wide = state;

    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    state = (uint32_t)wide;
    for (; count > 0; count--, next++)
        state = _mm_crc32_u8(state, *next);
    return state;
}

static bool has_instruction(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__ARM_FEATURE_CRC32)
static uint32_t update_by_instruction(uint32_t state, const void *bytes, size_t count)
{
    const unsigned char *next = bytes;

    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, sizeof word);
        state = __crc32cd(state, word);
    }
    for (; count > 0; count--, next++)
        state = __crc32cb(state, *next);
    return state;
}

static bool has_instruction(void) { return true; }
#else
static uint32_t update_by_instruction(uint32_t state, const void *bytes, size_t count)
{
    return bsr_crc32c_update_by_table(state, bytes, count);
}

static bool has_instruction(void) { return false; }
#endif

// Runs before main, while there is one thread.
__attribute__((constructor))
static void prepare(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? POLYNOMIAL : 0);
        table[0][byte] = state;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int slice = 1; slice < 8; slice++)
            table[slice][byte] =
                table[slice - 1][byte] >> 8 ^ table[0][table[slice - 1][byte] & 0xFF];
    if (has_instruction())
        update = update_by_instruction;
}

bool bsr_crc32c_is_accelerated(void) { return update != bsr_crc32c_update_by_table; }

uint32_t bsr_crc32c_update(uint32_t state, const void *bytes, size_t count)
{
    return update(state, bytes, count);
}
