// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

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

    private let socket: BlockingSocket

    /// Connects and asks for `export`.
    init(socketPath: String, export: String) throws(Failure) {
        do { self.socket = try .connected(toSocket: socketPath) } catch { throw .ended }
        try self.negotiate(export)
    }

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
        do { try self.socket.send(bytes) } catch { throw .ended }
    }

    private func receive(_ byteCount: Int) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        while bytes.count < byteCount {
            switch self.socket.receive(byteCount - bytes.count) {
            case .bytes(let part): bytes += part
            case .nothing: throw .silent
            case .endOfStream, .reset: throw .ended
            }
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
