// SPDX-License-Identifier: Apache-2.0

/// The SHA-256 (FIPS 180-4) of `bytes` in hexadecimal, to compare whole blocks with published sums.
func sha256(_ bytes: [UInt8]) -> String {
    var message = bytes + [0x80]
    while message.count % 64 != 56 { message.append(0) }
    let bitCount = UInt64(bytes.count) * 8
    message += (0..<8).map { UInt8(truncatingIfNeeded: bitCount >> UInt64(56 - $0 * 8)) }
    var hash: [UInt32] = SHA256Constants.roots(of: 8, power: 2)
    let constants = SHA256Constants.roots(of: 64, power: 3)
    for start in stride(from: 0, to: message.count, by: 64) {
        var words = (0..<16).map { word in
            (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(message[start + word * 4 + $1]) }
        }
        for index in 16..<64 {
            let low = words[index - 15].rotated(7) ^ words[index - 15].rotated(18)
            let high = words[index - 2].rotated(17) ^ words[index - 2].rotated(19)
            let shifted = low ^ words[index - 15] >> 3
            words.append(
                words[index - 16] &+ shifted &+ words[index - 7] &+ (high ^ words[index - 2] >> 10)
            )
        }
        var state = hash
        for index in 0..<64 {
            let (a, e) = (state[0], state[4])
            let choice = e & state[5] ^ ~e & state[6]
            let majority = a & state[1] ^ a & state[2] ^ state[1] & state[2]
            let first =
                state[7] &+ (e.rotated(6) ^ e.rotated(11) ^ e.rotated(25)) &+ choice
                &+ constants[index] &+ words[index]
            let second = (a.rotated(2) ^ a.rotated(13) ^ a.rotated(22)) &+ majority
            state = [first &+ second] + state.dropLast()
            state[4] = state[4] &+ first
        }
        for index in 0..<8 { hash[index] = hash[index] &+ state[index] }
    }
    return hash.map { word in
        let text = String(word, radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }.joined()
}

private enum SHA256Constants {
    /// The first 32 bits of the fractional parts of the square or cube roots of the first primes.
    static func roots(of count: Int, power: Int) -> [UInt32] {
        var primes: [Int] = []
        var candidate = 2
        while primes.count < count {
            if !primes.contains(where: { candidate % $0 == 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes.map { UInt32(truncatingIfNeeded: Self.scaledRoot(of: $0, power: power)) }
    }

    /// The integer part of the root of `number` × 2^(32 × power), by bisection.
    private static func scaledRoot(of number: Int, power: Int) -> UInt64 {
        var low: UInt64 = 0
        var high: UInt64 = 1 << 37
        while high - low > 1 {
            let middle = (low + high) / 2
            var product: [UInt64] = [1]
            for _ in 0..<power { product = Self.multiply(product, middle) }
            let isAtMost = !Self.isLess(
                Array(repeating: 0, count: power) + [UInt64(number)],
                than: product
            )
            if isAtMost { low = middle } else { high = middle }
        }
        return low
    }

    /// `left` in limbs of 32 bits, lowest first, times `right`, which has at most 37 bits.
    private static func multiply(_ left: [UInt64], _ right: UInt64) -> [UInt64] {
        var result = Array(repeating: UInt64(0), count: left.count + 2)
        for (index, limb) in left.enumerated() {
            for (shift, part) in [right & 0xFFFF_FFFF, right >> 32].enumerated() {
                var carry = limb * part
                var place = index + shift
                while carry > 0 {
                    carry += result[place]
                    result[place] = carry & 0xFFFF_FFFF
                    carry >>= 32
                    place += 1
                    if place == result.count { result.append(0) }
                }
            }
        }
        return result
    }

    private static func isLess(_ left: [UInt64], than right: [UInt64]) -> Bool {
        for index in (0..<max(left.count, right.count)).reversed() {
            let first = index < left.count ? left[index] : 0
            let second = index < right.count ? right[index] : 0
            if first != second { return first < second }
        }
        return false
    }
}

extension UInt32 {
    fileprivate func rotated(_ count: UInt32) -> UInt32 { self >> count | self << (32 - count) }
}
