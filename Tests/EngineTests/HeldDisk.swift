// SPDX-License-Identifier: Apache-2.0

import Engine
import Glibc
import Primitives
import Reactor
import Synchronization

/// Disks on files whose flushes of a superblock, or whose writes, complete when the test lets them.
///
/// Checked by hand: all but the atomics is touched by the loop's thread only.
final class HeldDisk: DiskInterposer, @unchecked Sendable {
    private let holds = Atomic<Bool>(false)
    private let holdsWrites = Atomic<Bool>(false)
    private let held = Atomic<Int>(0)
    private var descriptors: [FileID: Int32] = [:]
    private var done: [DiskCompletion] = []
    private var heldBack: [DiskCompletion] = []

    deinit { for descriptor in self.descriptors.values { close(descriptor) } }

    /// How many operations wait, or have waited.
    var heldCount: Int { self.held.load(ordering: .acquiring) }

    /// From now on flushes of a superblock wait.
    func hold() { self.holds.store(true, ordering: .releasing) }

    /// From now on writes wait, of metadata too.
    func holdWrites() { self.holdsWrites.store(true, ordering: .releasing) }

    /// Completes what waits, when the loop turns next.
    func release() {
        self.holds.store(false, ordering: .releasing)
        self.holdsWrites.store(false, ordering: .releasing)
    }

    func opened(_ file: FileID, path: String) {
        self.descriptors[file] = open(path, O_RDWR | O_CLOEXEC)
    }

    func closed(_ file: FileID) {
        if let descriptor = self.descriptors.removeValue(forKey: file) { close(descriptor) }
    }

    func submit(_ operation: DiskOperation, on file: FileID, at now: Instant) {
        guard let descriptor = self.descriptors[file] else { return }
        let completion = DiskCompletion(
            file: file,
            token: operation.token,
            byteCount: operation.byteCount
        )
        let offset = off_t(operation.offset)
        switch operation.kind {
        case .read(let memory): pread(descriptor, memory, operation.byteCount, offset)
        case .write(let memory, _):
            pwrite(descriptor, memory, operation.byteCount, offset)
            if self.holdsWrites.load(ordering: .acquiring) { return self.holdBack(completion) }
        case .zero:
            let zeroes = [UInt8](repeating: 0, count: operation.byteCount)
            pwrite(descriptor, zeroes, zeroes.count, offset)
        case .flush(.superblock) where self.holds.load(ordering: .acquiring):
            return self.holdBack(completion)
        case .flush: break
        }
        self.done.append(completion)
    }

    private func holdBack(_ completion: DiskCompletion) {
        self.heldBack.append(completion)
        self.held.add(1, ordering: .acquiringAndReleasing)
    }

    var nextCompletion: Instant {
        self.done.isEmpty ? .distantFuture : Instant(nanoseconds: 0)
    }

    func popCompletion(at now: Instant) -> DiskCompletion? {
        if !self.holds.load(ordering: .acquiring), !self.holdsWrites.load(ordering: .acquiring) {
            self.done += self.heldBack
            self.heldBack.removeAll()
        }
        return self.done.isEmpty ? nil : self.done.removeFirst()
    }
}
