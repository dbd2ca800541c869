// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A client of an NBD export on a unix socket, with simple replies.
///
/// Each call blocks; one thread at a time.
///
/// Bytes are put together here, not by the codec under test.
final class NBDConnection {
    enum Command: UInt16 {
        case read = 0
        case write = 1
        case flush = 3
        case writeZeroes = 6
    }

    struct Reply {
        var cookie: UInt64
        var error: UInt32
    }

    /// Why the connection cannot be used any more.
    enum Failure: Error, Equatable {
        /// The server is gone.
        case ended
        /// The server did not answer within half a minute.
        case silent
        case refused(option: UInt32)
        case malformed(String)
    }

    private static let greeting: UInt64 = 0x4e42_444d_4147_4943
    private static let option: UInt64 = 0x4948_4156_454f_5054
    private static let request: UInt32 = 0x2560_9513
    private static let simpleReply: UInt32 = 0x6744_6698

    private let descriptor: Int32

    /// Connects and asks for `export`.
    init(socketPath: String, export: String) throws(Failure) {
        self.descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var time = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(
            self.descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &time,
            socklen_t(MemoryLayout<timeval>.size)
        )
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw .ended }
        try self.negotiate(export)
    }

    deinit { close(self.descriptor) }

    private func negotiate(_ export: String) throws(Failure) {
        let greeting = try self.receive(18)
        guard greeting.number(at: 0, UInt64.self) == Self.greeting else {
            throw .malformed("greeting")
        }
        var bytes = Bytes()
        bytes.append(UInt32(3))
        bytes.append(Self.option)
        bytes.append(UInt32(7))
        bytes.append(UInt32(export.utf8.count + 6))
        bytes.append(UInt32(export.utf8.count))
        bytes.content += export.utf8
        bytes.append(UInt16(0))
        try self.send(bytes.content)
        while true {
            let header = try self.receive(20)
            let type = header.number(at: 12, UInt32.self)
            _ = try self.receive(Int(header.number(at: 16, UInt32.self)))
            if type == 1 { return }
            guard type == 3 else { throw .refused(option: type) }
        }
    }

    /// Sends a request; `payload` goes with a write.
    func send(
        _ command: Command,
        cookie: UInt64,
        offset: UInt64 = 0,
        byteCount: Int = 0,
        isForcedUnitAccess: Bool = false,
        payload: [UInt8] = []
    ) throws(Failure) {
        var bytes = Bytes()
        bytes.append(Self.request)
        bytes.append(UInt16(isForcedUnitAccess ? 1 : 0))
        bytes.append(command.rawValue)
        bytes.append(cookie)
        bytes.append(offset)
        bytes.append(UInt32(byteCount))
        try self.send(bytes.content + payload)
    }

    /// The next reply, without the payload of a read.
    func reply() throws(Failure) -> Reply {
        let bytes = try self.receive(16)
        guard bytes.number(at: 0, UInt32.self) == Self.simpleReply else {
            throw .malformed("reply")
        }
        return Reply(
            cookie: bytes.number(at: 8, UInt64.self),
            error: bytes.number(at: 4, UInt32.self)
        )
    }

    /// Reads a range; nil if the server reports an error.
    func read(at offset: UInt64, byteCount: Int) throws(Failure) -> [UInt8]? {
        try self.send(.read, cookie: 0, offset: offset, byteCount: byteCount)
        guard try self.reply().error == 0 else { return nil }
        return try self.receive(byteCount)
    }

    private func send(_ bytes: [UInt8]) throws(Failure) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    self.descriptor,
                    $0.baseAddress.map { $0 + done },
                    bytes.count - done,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else { throw .ended }
            done += count
        }
    }

    private func receive(_ byteCount: Int) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var done = 0
        while done < byteCount {
            let count = bytes.withUnsafeMutableBytes {
                recv(self.descriptor, $0.baseAddress.map { $0 + done }, byteCount - done, 0)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { throw .silent }
            guard count > 0 else { throw .ended }
            done += count
        }
        return bytes
    }
}

/// Big-endian numbers in a row.
struct Bytes {
    var content: [UInt8] = []

    mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { self.content += $0 }
    }
}

extension [UInt8] {
    /// The big-endian number at `offset`.
    func number<Number: FixedWidthInteger>(at offset: Int, _ type: Number.Type) -> Number {
        self.withUnsafeBytes {
            Number(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: type))
        }
    }
}
