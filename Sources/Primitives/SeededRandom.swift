// SPDX-License-Identifier: Apache-2.0

/// A random number generator whose whole sequence follows from one number (SplitMix64, Steele,
/// Lea and Flood 2014).
///
/// For simulation, tests, jitter and identifiers that need no secrecy. A driver seeds it from the
/// system's entropy.
@frozen
public struct SeededRandom: RandomNumberGenerator, Sendable, BitwiseCopyable {
    @usableFromInline var state: UInt64

    /// Creates the sequence of `seed`.
    @inlinable public init(seed: UInt64) { self.state = seed }

    /// The next number, all 64 bits uniform.
    @inlinable
    public mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number below `bound`.
    ///
    /// Traps if `bound` is 0.
    @inlinable
    public mutating func below(_ bound: UInt64) -> UInt64 {
        invariant(bound > 0, "bound above 0")
        return self.next(upperBound: bound)
    }

    /// True with the probability `numerator` / `denominator`.
    @inlinable
    public mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
        self.below(denominator) < numerator
    }
}
