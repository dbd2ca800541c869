// SPDX-License-Identifier: Apache-2.0

import Glibc
import Metadata

/// A regular file or block device that holds metadata.
///
/// The rule that keeps engine and tool apart: whoever changes a volume holds an exclusive
/// `flock(2)` on its data file and on its metadata file for as long as it may write; a block device
/// is opened with `O_EXCL` besides. `bsrd` does so from attach to detach, this tool for one
/// command.
final class MetadataFile {
    let path: String
    /// The size in bytes.
    let byteCount: UInt64
    private let descriptor: Int32
    private let isDryRun: Bool

    /// Opens and locks `path`: for changes exclusively, to read shared, with `force` not.
    ///
    /// - Throws: ``Failure`` with status 20 if it cannot be opened, is something else, or is in
    ///   use.
    init(_ path: String, forWriting: Bool, force: Bool, isDryRun: Bool) throws(Failure) {
        self.path = path
        self.isDryRun = isDryRun
        var information = stat()
        guard stat(path, &information) == 0 else { throw .opening(path) }
        let kind = information.st_mode & S_IFMT
        guard kind == S_IFREG || kind == S_IFBLK else {
            throw .usage(
                "'\(path)' is neither a block device nor a regular file!\n"
                    + DiskRemedy.otherKind
            )
        }
        let access = (forWriting && !isDryRun ? O_RDWR : O_RDONLY) | O_CLOEXEC
        let exclusive = forWriting && kind == S_IFBLK ? O_EXCL : 0
        var descriptor = open(path, access | exclusive)
        if descriptor < 0 && errno == EBUSY && exclusive != 0 {
            Console.error("open(\(path)) failed: Device or resource busy")
            guard Console.confirm("Exclusive open failed. Do it anyways?", force: force) else {
                throw .declined(20)
            }
            descriptor = open(path, access)
        }
        guard descriptor >= 0 else { throw .opening(path) }
        self.descriptor = descriptor
        let end = lseek(descriptor, 0, SEEK_END)
        self.byteCount = UInt64(max(0, end))
        guard end >= 0 else { throw .system("lseek", path, status: 20) }
        // What is read under a running engine may be half old; --force shows it all the same.
        guard forWriting || !force else { return }
        guard flock(descriptor, (forWriting ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 else { return }
        guard errno == EWOULDBLOCK else { throw .system("flock", path, status: 20) }
        throw Failure(
            20,
            "Device '\(path)' is configured!\n"
                + "bsrd or another bsrmeta holds its lock; take the volume down or detach it first."
        )
    }

    deinit { close(self.descriptor) }

    /// Reads `count` bytes at `position`; what lies beyond the end of the file is missing.
    func read(at position: UInt64, count: Int) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes {
                pread(
                    self.descriptor,
                    $0.baseAddress.map { $0 + done },
                    count - done,
                    off_t(position) + off_t(done)
                )
            }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw .system("pread", self.path) }
            if got == 0 { break }
            done += got
        }
        bytes.removeLast(count - done)
        return bytes
    }

    /// Writes `bytes` at `position`.
    ///
    /// Traps never: a place outside the file is a failure.
    func write(_ bytes: [UInt8], at position: UInt64) throws(Failure) {
        try self.checkRange(position, UInt64(bytes.count))
        guard !self.isDryRun else { return }
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes {
                pwrite(
                    self.descriptor,
                    $0.baseAddress.map { $0 + done },
                    bytes.count - done,
                    off_t(position) + off_t(done)
                )
            }
            if put < 0 && errno == EINTR { continue }
            guard put > 0 else { throw .system("pwrite", self.path) }
            done += put
        }
    }

    /// Makes a range zero.
    ///
    /// What reads as zero already is not written, so that sparse files and thin volumes stay so,
    /// unless
    /// `always` is set.
    func zero(_ range: Range<UInt64>, always: Bool = false) throws(Failure) {
        try self.checkRange(range.lowerBound, range.upperBound - range.lowerBound)
        let zeroes = [UInt8](repeating: 0, count: 1 << 20)
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(min(range.upperBound - position, UInt64(zeroes.count)))
            let part = Array(zeroes[..<count])
            let isZero = always ? false : try self.read(at: position, count: count) == part
            if !isZero {
                try self.write(part, at: position)
            }
            position += UInt64(count)
        }
    }

    /// Makes everything written durable.
    func flush() throws(Failure) {
        guard !self.isDryRun else { return }
        guard fsync(self.descriptor) == 0 else { throw .system("fsync", self.path) }
    }

    private func checkRange(_ position: UInt64, _ count: UInt64) throws(Failure) {
        guard position <= self.byteCount, count <= self.byteCount - position else {
            throw Failure(
                10,
                "\(self.path): offset+count (\(position)+\(count)) not in meta data area, aborted"
            )
        }
    }
}

/// Small files that are read or replaced as a whole.
enum WholeFile {
    /// The most bytes of a dump that are read.
    static let readLimit = 1 << 30

    /// The content of `path`; nil if it cannot be opened.
    static func read(_ path: String) throws(Failure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = buffer.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .system("read", path) }
            if count == 0 { return content }
            content += buffer[..<count]
            guard content.count <= Self.readLimit else {
                throw Failure(10, "\(path) has more than \(Self.readLimit) bytes, no dump does")
            }
        }
    }

    /// Replaces `path` by `content`, at once and durably; false if that fails.
    static func replace(_ path: String, by content: String) -> Bool {
        let fresh = path + ".new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        let bytes = Array(content.utf8)
        let isWritten = write(descriptor, bytes, bytes.count) == bytes.count
        let isDurable = fsync(descriptor) == 0
        close(descriptor)
        guard isWritten, isDurable, rename(fresh, path) == 0 else {
            unlink(fresh)
            return false
        }
        return true
    }
}
