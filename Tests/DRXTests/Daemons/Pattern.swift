// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives
import Synchronization
import TestSupport

/// Bytes that follow from a seed: stretches that compress and stretches that do not.
struct Pattern {
    private var random: SeededRandom

    init(seed: UInt64) { self.random = SeededRandom(seed: seed) }

    mutating func next(_ count: Int) -> [UInt8] {
        if self.random.chance(1, in: 2) {
            let byte = UInt8(truncatingIfNeeded: self.random.next())
            return (0..<count).map { UInt8(truncatingIfNeeded: $0 / 64) &+ byte }
        }
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: self.random.next()) }
    }

    /// Some bytes, few or many.
    mutating func piece(atMost limit: Int) -> [UInt8] {
        let longest: UInt64 = self.random.chance(1, in: 4) ? 200_000 : 3_000
        return self.next(min(limit, 1 + Int(self.random.below(longest))))
    }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var (pattern, bytes): (Pattern, [UInt8]) = (Pattern(seed: seed), [])
        while bytes.count < count { bytes += pattern.piece(atMost: count - bytes.count) }
        return bytes
    }
}

/// Sends bytes in pieces on a thread of its own.
final class Sender: Sendable {
    private let sent = Atomic<Int>(0)
    private let isDone = Atomic<Bool>(false)

    init(_ bytes: [UInt8], to socket: BlockingSocket, pieces: Int = 50_000) {
        Thread.detachNewThread {
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                let end = min(bytes.count, start + pieces)
                guard (try? socket.send(bytes[start..<end])) != nil else { break }
                self.sent.store(end, ordering: .relaxed)
            }
            self.isDone.store(true, ordering: .releasing)
        }
    }

    var sentByteCount: Int { self.sent.load(ordering: .relaxed) }
    var hasEnded: Bool { self.isDone.load(ordering: .acquiring) }
}
