// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A connection of one reactor.
///
/// Handles stay safe when their object is gone: the generation no longer matches, and every call
/// with a stale handle does nothing and says so.
package struct ConnectionID: Hashable, Sendable, BitwiseCopyable {
    /// A number below ``ReactorLimits/connections``, unique among the open connections: the index
    /// of a driver's own table.
    package let slot: UInt32
    let generation: UInt32
}

/// A listening socket of one reactor.
package struct ListenerID: Hashable, Sendable, BitwiseCopyable {
    /// A number below ``ReactorLimits/listeners``, unique among the open listeners.
    package let slot: UInt32
    let generation: UInt32
}

/// An open file or block device of one reactor.
package struct FileID: Hashable, Sendable, BitwiseCopyable {
    /// A number below ``ReactorLimits/files``, unique among the open files.
    package let slot: UInt32
    let generation: UInt32
}

/// What a completion of the ring belongs to, packed into its 64 bits of user data.
///
///     63      56 55              32 31                0
///     |  kind   |    generation    |       slot        |
///
/// A slot is given back only after the last completion of its operations, so the generation is a
/// check, not a need.
struct CompletionTag: BitwiseCopyable {
    enum Kind: UInt8 {
        case accept = 1
        case connect
        case receive
        case sendReady
        case file
        case wake
        case signal
        case cancel
    }

    let raw: UInt64

    init(raw: UInt64) { self.raw = raw }

    init(_ kind: Kind, slot: UInt32 = 0, generation: UInt32 = 0) {
        self.raw =
            UInt64(kind.rawValue) << 56 | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(slot)
    }

    var kind: Kind {
        guard let kind = Kind(rawValue: UInt8(truncatingIfNeeded: self.raw >> 56)) else {
            invariantBroken("a completion carries a tag of ours")
        }
        return kind
    }

    var slot: UInt32 { UInt32(truncatingIfNeeded: self.raw) }
}
