// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Primitives

/// How a volume's file is read and written.
package enum IOMode: String, Hashable, Sendable {
    /// Direct where the file can do it in 512-byte blocks, otherwise buffered.
    case auto
    /// Past the page cache, through the ring. Offsets and lengths in 512-byte blocks, memory
    /// aligned.
    case direct
    /// Through the page cache: what is cached or short at once, the rest by the ring or threads.
    case buffered
}

/// How a file or block device is opened.
package struct FileOptions: Hashable, Sendable {
    /// How it is read and written.
    package var mode = IOMode.auto
    /// Whether it may be written.
    package var isWritable = true
    /// Whether an exclusive lock (`flock`) is taken and held until it is closed.
    package var isLocked = true
    /// Whether short buffered writes are made on the loop itself, for as long as they do not block:
    /// less CPU and latency.
    ///
    /// The others are made by threads.
    package var writesInline = true

    /// Creates the default options.
    package init() {}
}

/// What was found out about a file when it was opened.
package struct FileProperties: Hashable, Sendable {
    /// ``IOMode/direct`` or ``IOMode/buffered``.
    package let mode: IOMode
    /// Whether it is a block device.
    package let isBlockDevice: Bool
    /// What the address of the memory of a read or write must be a multiple of.
    package let memoryAlignment: Int
}

/// One open file or device, in its slot.
struct File: BitwiseCopyable {
    let descriptor: Int32
    let isDirect: Bool
    let isBlockDevice: Bool
    let memoryAlignment: UInt32
    let writesInline: Bool
    var inlineWriting = InlineWriting()
    /// Reads are tried without waiting first; off once the file system turns out not to know that.
    var readsInline: Bool
    var isClosing = false
    var operations: UInt32 = 0
}

extension Reactor {
    /// Opens an existing regular file or block device, locks it and decides how it is read and
    /// written.
    ///
    /// Blocks the loop for as long as `open` and `statx` take: control path.
    /// - Throws: ``ReactorError``: `inUse` if another process holds the lock.
    package func open(
        _ path: String,
        _ options: FileOptions = FileOptions()
    ) throws(ReactorError) -> FileID {
        guard !self.files.isFull else { throw .limitReached("files", limit: self.limits.files) }
        let access = options.isWritable ? O_RDWR : O_RDONLY
        let descriptor = Glibc.open(path, access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw .systemCall("open", object: path, .last) }
        do throws(ReactorError) {
            let file = try Self.examine(descriptor, path, options)
            guard let slot = self.files.take(file) else {
                invariantBroken("a table that is not full has a slot")
            }
            return FileID(slot: slot, generation: self.files.generation(slot))
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    /// What is known about an open file; nil for a stale handle.
    package func properties(of id: FileID) -> FileProperties? {
        guard let file = self.find(id) else { return nil }
        return FileProperties(
            mode: file.pointee.isDirect ? .direct : .buffered,
            isBlockDevice: file.pointee.isBlockDevice,
            memoryAlignment: Int(file.pointee.memoryAlignment)
        )
    }

    /// The present size in bytes.
    /// - Throws: ``ReactorError/systemCall(_:object:_:)``.
    package func byteCount(of id: FileID) throws(ReactorError) -> UInt64 {
        guard let file = self.find(id) else {
            throw .systemCall("fstat", object: "file", Errno(EBADF))
        }
        var bytes: UInt64 = 0
        if file.pointee.isBlockDevice {
            let result = clinux_device_byte_count(file.pointee.descriptor, &bytes)
            guard result == 0 else {
                throw .systemCall("BLKGETSIZE64", object: "block device", Errno(-result))
            }
            return bytes
        }
        var status = stat()
        guard fstat(file.pointee.descriptor, &status) == 0 else {
            throw .systemCall("fstat", object: "file", .last)
        }
        return UInt64(status.st_size)
    }

    /// Closes the file once its operations are through; ``Event/fileClosed(_:)`` follows.
    package func close(_ id: FileID) {
        guard let file = self.find(id), !file.pointee.isClosing else { return }
        file.pointee.isClosing = true
        self.settleFile(id.slot)
    }

    func find(_ id: FileID) -> UnsafeMutablePointer<File>? {
        self.files.find(id.slot, id.generation)
    }

    func fileID(_ slot: UInt32) -> FileID {
        FileID(slot: slot, generation: self.files.generation(slot))
    }

    func settleFile(_ slot: UInt32) {
        let file = self.files[slot]
        guard file.pointee.isClosing, file.pointee.operations == 0 else { return }
        Glibc.close(file.pointee.descriptor)
        self.report(.fileClosed(self.fileID(slot)))
        self.files.release(slot)
    }

    private static func examine(
        _ descriptor: Int32,
        _ path: String,
        _ options: FileOptions
    ) throws(ReactorError) -> File {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .systemCall("fstat", object: path, .last)
        }
        let type = status.st_mode & S_IFMT
        guard type == S_IFREG || type == S_IFBLK else { throw .notAVolume(path: path) }
        if options.isLocked, flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = Errno.last
            if code.number == EWOULDBLOCK { throw .inUse(path: path) }
            throw .systemCall("flock", object: path, code)
        }
        let alignment = try Self.enableDirect(descriptor, path, options.mode)
        return File(
            descriptor: descriptor,
            isDirect: alignment != nil,
            isBlockDevice: type == S_IFBLK,
            memoryAlignment: alignment ?? 1,
            writesInline: options.writesInline,
            readsInline: alignment == nil
        )
    }

    /// Switches to direct I/O if the mode and the file agree; returns the alignment of memory then,
    /// and nil for buffered I/O.
    private static func enableDirect(
        _ descriptor: Int32,
        _ path: String,
        _ mode: IOMode
    ) throws(ReactorError) -> UInt32? {
        guard mode != .buffered else {
            _ = clinux_set_direct(descriptor, 0)
            return nil
        }
        var memory: UInt32 = 0
        var offset: UInt32 = 0
        var obstacle: String?
        var result = clinux_direct_alignment(descriptor, &memory, &offset)
        if result < 0 {
            obstacle = "\(Errno(-result))"
        } else if offset > 512 || memory > UInt32(BufferPool.pageByteCount) {
            obstacle = "it needs blocks of \(offset) bytes, and 512 is the most that volumes allow"
        } else {
            result = clinux_set_direct(descriptor, 1)
            if result < 0 { obstacle = "\(Errno(-result))" }
        }
        guard let obstacle else {
            // Pages that others left in the cache would send direct writes to slow paths.
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
            return max(memory, 1)
        }
        if mode == .direct { throw .directUnavailable(path: path, reason: obstacle) }
        _ = clinux_set_direct(descriptor, 0)
        return nil
    }
}
