// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives
import Synchronization

/// The memory of a large transmit buffer, faulted in from its front by a thread of its own, so that
/// the relay works meanwhile.
final class BufferMemory: Sendable {
    let byteCount: Int
    private let address: UInt
    private let isCancelled = Atomic<Bool>(false)

    /// What is faulted in at a time: eight huge pages.
    private static let pieceByteCount = 16 << 20
    /// MADV_POPULATE_WRITE of Linux 5.14.
    private static let populateWrite: Int32 = 23

    /// Reserves the addresses; nil if there are none.
    init?(byteCount: Int) {
        let start = mmap(
            nil,
            byteCount,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let start, start != MAP_FAILED else { return nil }
        // Huge pages make the relay faster; without them it works as well.
        _ = madvise(start, byteCount, MADV_HUGEPAGE)
        self.byteCount = byteCount
        self.address = UInt(bitPattern: start)
    }

    /// Large memory is given back by a thread of its own: the kernel takes a while.
    deinit {
        let (address, byteCount) = (self.address, self.byteCount)
        guard byteCount > Self.pieceByteCount else {
            munmap(self.start, byteCount)
            return
        }
        Thread.detachNewThread { munmap(UnsafeMutableRawPointer(bitPattern: address), byteCount) }
    }

    /// The bytes that this machine can give at most, swap included.
    static var machineByteCount: UInt64 {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else {
            return .max
        }
        let kibibytes = text.split(separator: "\n").reduce(UInt64(0)) { sum, line in
            let words = line.split(separator: " ")
            guard words.count > 1, words[0] == "MemTotal:" || words[0] == "SwapTotal:" else {
                return sum
            }
            return sum + (UInt64(words[1]) ?? 0)
        }
        return kibibytes << 10
    }

    var start: UnsafeMutableRawPointer {
        let start = UnsafeMutableRawPointer(bitPattern: self.address)
        invariant(start != nil, "mapped memory has an address")
        return start.unsafelyUnwrapped
    }

    /// Ends the thread after its present piece.
    func cancel() { self.isCancelled.store(true, ordering: .relaxed) }

    /// Begins to fault in; `report` hears, on another thread, how much is usable, and at last nil
    /// if the machine has no more memory to give.
    func populate(_ report: @escaping @Sendable (_ usable: Int?) -> Void) {
        let thread = Thread { [self] in
            var usable = 0
            while usable < self.byteCount {
                if self.isCancelled.load(ordering: .relaxed) { return }
                let piece = min(Self.pieceByteCount, self.byteCount - usable)
                guard self.faultIn(usable, piece) else { return report(nil) }
                usable += piece
                report(usable)
            }
        }
        thread.name = "drx-buffer"
        thread.start()
    }

    private func faultIn(_ offset: Int, _ count: Int) -> Bool {
        while madvise(self.start + offset, count, Self.populateWrite) != 0 {
            if errno == EINTR || errno == EAGAIN { continue }
            guard errno == EINVAL else { return false }
            // An older kernel: touch each page.
            for page in stride(from: offset, to: offset + count, by: 4096) {
                self.start.storeBytes(of: 0, toByteOffset: page, as: UInt8.self)
            }
            return true
        }
        return true
    }
}
