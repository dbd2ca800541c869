// SPDX-License-Identifier: Apache-2.0

/// Bytes of a client, written down from the protocol's description and not with our codec.
struct ClientBytes {
    var bytes: [UInt8] = []

    static func flags(_ flags: UInt32 = 3) -> [UInt8] { big(flags) }

    static func option(_ number: UInt32, _ data: [UInt8] = []) -> [UInt8] {
        Array("IHAVEOPT".utf8) + big(number) + big(UInt32(data.count)) + data
    }

    /// INFO (6) or GO (7) with the kinds of information that are asked for.
    static func info(_ number: UInt32, _ name: String, _ kinds: [UInt16] = []) -> [UInt8] {
        self.option(number, text(name) + big(UInt16(kinds.count)) + kinds.flatMap { big($0) })
    }

    /// LIST_META_CONTEXT (9) or SET_META_CONTEXT (10).
    static func metaContext(_ number: UInt32, _ name: String, _ queries: [String]) -> [UInt8] {
        self.option(number, text(name) + big(UInt32(queries.count)) + queries.flatMap { text($0) })
    }

    static func request(
        _ command: UInt16,
        cookie: UInt64 = 1,
        offset: UInt64 = 0,
        count: UInt32 = 0,
        flags: UInt16 = 0
    ) -> [UInt8] {
        big(UInt32(0x2560_9513)) + big(flags) + big(command) + big(cookie) + big(offset)
            + big(count)
    }

    private static func text(_ text: String) -> [UInt8] {
        big(UInt32(text.utf8.count)) + Array(text.utf8)
    }
}

/// The bytes of `value`, most significant first.
func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
}

/// Takes a server's bytes apart, by the protocol's description and not with our codec.
final class ServerBytes {
    private(set) var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var isEmpty: Bool { self.bytes.isEmpty }

    func take(_ count: Int) -> [UInt8] {
        let taken = Array(self.bytes.prefix(count))
        self.bytes = self.bytes.dropFirst(count)
        return taken
    }

    func number<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value {
        self.take(MemoryLayout<Value>.size).reduce(0) { $0 << 8 | Value($1) }
    }

    struct OptionReply: Equatable {
        var option: UInt32
        var type: UInt32
        var data: [UInt8]

        var text: String { String(decoding: self.data, as: UTF8.self) }
    }

    /// The next answer to an option; nil if the bytes are none.
    func optionReply() -> OptionReply? {
        guard self.bytes.count >= 20, self.number(UInt64.self) == 0x3e8_8904_5565a9 else {
            return nil
        }
        let option = self.number(UInt32.self)
        let type = self.number(UInt32.self)
        let count = self.number(UInt32.self)
        guard self.bytes.count >= Int(count) else { return nil }
        return OptionReply(option: option, type: type, data: self.take(Int(count)))
    }

    struct Reply: Equatable {
        var cookie: UInt64
        /// Nil for a simple reply.
        var chunk: UInt16?
        var error: UInt32
        /// The payload of a chunk, or the data of a read.
        var data: [UInt8]
    }

    /// The next reply; `dataCount` is the length of data behind a successful simple reply.
    func reply(dataCount: (UInt64) -> Int = { _ in 0 }) -> Reply? {
        guard self.bytes.count >= 16 else { return nil }
        switch self.number(UInt32.self) {
        case 0x6744_6698:
            let error = self.number(UInt32.self)
            let cookie = self.number(UInt64.self)
            let count = error == 0 ? dataCount(cookie) : 0
            guard self.bytes.count >= count else { return nil }
            return Reply(cookie: cookie, chunk: nil, error: error, data: self.take(count))
        case 0x668e_33ef:
            guard self.bytes.count >= 16, self.number(UInt16.self) == 1 else { return nil }
            let type = self.number(UInt16.self)
            let cookie = self.number(UInt64.self)
            let count = self.number(UInt32.self)
            guard self.bytes.count >= Int(count) else { return nil }
            let data = self.take(Int(count))
            let isError = type >= 0x8000
            let error = isError ? data.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } : 0
            return Reply(cookie: cookie, chunk: type, error: error, data: data)
        default:
            return nil
        }
    }
}
