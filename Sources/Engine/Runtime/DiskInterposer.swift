// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Reactor

/// What stands between the engine and its files in tests of power cuts; `bsrd` has none.
///
/// Everything is called on the loop's thread. The memory of an operation is borrowed until
/// ``popCompletion(at:)`` returns its token.
package protocol DiskInterposer: AnyObject {
    /// A file of a volume was opened.
    func opened(_ file: FileID, path: String)
    /// Starts an operation; any number may be under way, and they are not ordered among each other.
    func submit(_ operation: DiskOperation, on file: FileID, at now: Instant)
    /// The file is given up in good order; no operation is under way.
    func closed(_ file: FileID)
    /// When ``popCompletion(at:)`` has something to return.
    var nextCompletion: Instant { get }
    /// The next operation that is through; nil if there is none by `now`.
    func popCompletion(at now: Instant) -> DiskCompletion?
}

/// One operation on a file.
package struct DiskOperation: BitwiseCopyable {
    package enum Kind: BitwiseCopyable {
        case read(UnsafeMutableRawPointer)
        /// `isDurable`: on stable storage before it completes.
        case write(UnsafeRawPointer, isDurable: Bool)
        case zero
        /// Everything that has completed before becomes stable.
        case flush(DiskFlush)
    }

    package var kind: Kind
    package var offset: UInt64
    package var byteCount: Int
    package var token: UInt64
}

/// Why the engine flushes a file.
package enum DiskFlush: String, CaseIterable, Sendable, BitwiseCopyable {
    /// The data, on a Primary: a client's flush, or extents that leave the activity log.
    case data
    /// The data, on a Secondary: the peer's epoch, or blocks of a resync.
    case barrier
    case activityLog = "activity-log"
    case bitmap
    case superblock
}

/// An operation that has succeeded.
package struct DiskCompletion: BitwiseCopyable {
    package var file: FileID
    package var token: UInt64
    package var byteCount: Int

    package init(file: FileID, token: UInt64, byteCount: Int) {
        self.file = file
        self.token = token
        self.byteCount = byteCount
    }
}

/// File operations of volumes: of the reactor, unless something stands before it.
extension EngineLoop {
    func readFile(
        _ file: FileID,
        at offset: UInt64,
        into memory: UnsafeMutableRawPointer,
        byteCount: Int,
        token: UInt64
    ) -> Bool {
        guard let interposer = self.interposer else {
            return self.reactor.read(
                file,
                at: offset,
                into: memory,
                byteCount: byteCount,
                token: token
            )
        }
        let operation = DiskOperation(
            kind: .read(memory),
            offset: offset,
            byteCount: byteCount,
            token: token
        )
        interposer.submit(operation, on: file, at: self.reactor.now)
        return true
    }

    func writeFile(
        _ file: FileID,
        at offset: UInt64,
        from memory: UnsafeRawPointer,
        byteCount: Int,
        isDurable: Bool = false,
        token: UInt64
    ) -> Bool {
        guard let interposer = self.interposer else {
            return self.reactor.write(
                file,
                at: offset,
                from: memory,
                byteCount: byteCount,
                isDurable: isDurable,
                token: token
            )
        }
        let operation = DiskOperation(
            kind: .write(memory, isDurable: isDurable),
            offset: offset,
            byteCount: byteCount,
            token: token
        )
        interposer.submit(operation, on: file, at: self.reactor.now)
        return true
    }

    func zeroFile(
        _ file: FileID,
        at offset: UInt64,
        byteCount: Int,
        keepsAllocation: Bool,
        token: UInt64
    ) -> Bool {
        guard let interposer = self.interposer else {
            return self.reactor.zero(
                file,
                at: offset,
                byteCount: byteCount,
                keepsAllocation: keepsAllocation,
                token: token
            )
        }
        let operation = DiskOperation(
            kind: .zero,
            offset: offset,
            byteCount: byteCount,
            token: token
        )
        interposer.submit(operation, on: file, at: self.reactor.now)
        return true
    }

    func flushFile(_ file: FileID, token: UInt64, for purpose: DiskFlush) -> Bool {
        guard let interposer = self.interposer else {
            return self.reactor.flush(file, token: token)
        }
        let operation = DiskOperation(kind: .flush(purpose), offset: 0, byteCount: 0, token: token)
        interposer.submit(operation, on: file, at: self.reactor.now)
        return true
    }

    func closeFile(_ file: FileID) {
        self.interposer?.closed(file)
        self.reactor.close(file)
    }

    /// Reports what the interposer has done.
    func serveInterposer() {
        guard let interposer = self.interposer else { return }
        while let completion = interposer.popCompletion(at: self.reactor.now) {
            self.fileDone(completion.file, completion.token, completion.byteCount, nil)
        }
    }
}
