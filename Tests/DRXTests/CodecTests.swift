// SPDX-License-Identifier: Apache-2.0

import DRX
import Primitives
import Testing
import Wire

@Suite struct CodecTests {
    static let plugins: [Plugin?] = [
        nil, Plugin(algorithm: .zstd, level: 1), Plugin(algorithm: .zstd, level: 9),
        Plugin(algorithm: .lz4, level: 1), Plugin(algorithm: .lz4, level: 3),
        Plugin(algorithm: .lz4, level: 12),
    ]

    @Test(arguments: plugins, ChannelType.allCases)
    func `frames of any size and content are restored`(plugin: Plugin?, type: ChannelType) throws {
        var pair = try CodecPair(plugin, type)
        var random = SeededRandom(seed: 7)
        let source = mixed(3_000_000, &random)
        var position = 0
        while position < source.count {
            let limit = random.chance(1, in: 4) ? 131_072 : 9_000
            let count = min(source.count - position, 1 + Int(random.below(UInt64(limit))))
            let content = Array(source[position..<position + count])
            #expect(try pair.pass(content) == content)
            position += count
        }
    }

    @Test(arguments: [FrameCodec.zstd, .lz4])
    func `later frames use the history of earlier ones`(codec: FrameCodec) throws {
        var pair = try CodecPair(plugin(codec), .data)
        var random = SeededRandom(seed: 9)
        let page = (0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        _ = try pair.pass(page)
        let first = pair.payloadByteCount
        for _ in 0..<40 { #expect(try pair.pass(page) == page) }
        #expect(pair.payloadByteCount < first + 40 * 100)
    }

    @Test func `a higher level of lz4 compresses better`() throws {
        var random = SeededRandom(seed: 11)
        let words = (0..<400).map { _ in
            (0..<3 + random.below(9)).map { _ in UInt8(97 + random.below(26)) } + [0x20]
        }
        let frames = (0..<60).map { _ in
            (0..<1500).flatMap { _ in words[Int(random.below(400))] }
        }
        func byteCount(_ level: Int) throws -> Int {
            var pair = try CodecPair(Plugin(algorithm: .lz4, level: UInt8(level)), .data)
            for frame in frames { #expect(try pair.pass(frame) == frame) }
            try pair.restart()
            for frame in frames { #expect(try pair.pass(frame) == frame) }
            return pair.payloadByteCount
        }
        let sizes = try [1, 4, 12].map(byteCount)
        #expect(sizes[1] < sizes[0] * 95 / 100, "\(sizes)")
        #expect(sizes[2] <= sizes[1], "\(sizes)")
    }

    @Test(arguments: [FrameCodec.zstd, .lz4])
    func `incompressible bytes soon go as they are, compressible ones are found again`(
        codec: FrameCodec
    ) throws {
        var pair = try CodecPair(plugin(codec), .data)
        var random = SeededRandom(seed: 10)
        var asTheyAre = 0
        for _ in 0..<100 {
            let noise = (0..<8192).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            #expect(try pair.pass(noise) == noise)
            if pair.lastCodec == .none { asTheyAre += 1 }
        }
        #expect(asTheyAre > 80)
        let zeroes = [UInt8](repeating: 0, count: 8192)
        for _ in 0..<300 { #expect(try pair.pass(zeroes) == zeroes) }
        #expect(pair.lastCodec == codec)
    }

    @Test(arguments: [FrameCodec.zstd, .lz4])
    func `a restart forgets the history on both sides`(codec: FrameCodec) throws {
        var pair = try CodecPair(plugin(codec), .data)
        let text = Array(String(repeating: "replicate this page; ", count: 400).utf8)
        #expect(try pair.pass(text) == text)
        try pair.restart()
        #expect(try pair.pass(text) == text)
        let afterRestart = pair.lastPayload
        var fresh = try CodecPair(plugin(codec), .data)
        _ = try fresh.pass(text)
        #expect(afterRestart == fresh.lastPayload)
    }

    @Test(arguments: [FrameCodec.zstd, .lz4])
    func `a payload that promises another length is refused`(codec: FrameCodec) throws {
        for length in [1, 8191, 8193, 131_072] {
            var pair = try CodecPair(plugin(codec), .data)
            let zeroes = [UInt8](repeating: 0, count: 8192)
            _ = try pair.pass(zeroes)
            var decompressor = Decompressor(for: .data)
            #expect(throws: CodecError.self) {
                _ = try restore(&decompressor, pair.lastPayload, codec, length)
            }
        }
    }

    @Test(arguments: [FrameCodec.zstd, .lz4], 0..<2)
    func `damaged payload is an error or wrong bytes, never more`(
        codec: FrameCodec,
        seed: UInt64
    ) throws {
        var random = SeededRandom(seed: 0xC0DEC + seed)
        var pair = try CodecPair(plugin(codec), .meta)
        let content = mixed(4096, &random)
        _ = try pair.pass(content)
        var decompressor = Decompressor(for: .meta)
        var refused = 0
        for _ in 0..<25_000 {
            var payload = pair.lastPayload
            for _ in 0...random.below(3) {
                payload[Int(random.below(UInt64(payload.count)))] ^=
                    UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(1, in: 5) {
                payload.removeLast(Int(random.below(UInt64(payload.count))))
            }
            do {
                _ = try restore(&decompressor, payload, codec, 4096)
            } catch {
                refused += 1
            }
            try decompressor.restart()
        }
        #expect(refused > 1000)
    }
}

/// A compressor and the decompressor at the other end.
struct CodecPair: ~Copyable {
    var compressor: Compressor
    var decompressor: Decompressor
    private(set) var lastCodec = FrameCodec.none
    private(set) var lastPayload: [UInt8] = []
    private(set) var payloadByteCount = 0

    init(_ plugin: Plugin?, _ type: ChannelType) throws {
        self.compressor = try Compressor(plugin, for: type)
        self.decompressor = Decompressor(for: type)
    }

    mutating func pass(_ content: [UInt8]) throws -> [UInt8] {
        var target = [UInt8](repeating: 0, count: content.count + 2048)
        let count = try content.withUnsafeBytes { content in
            try target.withUnsafeMutableBytes { try self.compressor.compress(content, into: $0) }
        }
        self.lastCodec = count == nil ? .none : self.compressor.codec
        self.lastPayload = count.map { Array(target[..<$0]) } ?? content
        self.payloadByteCount += self.lastPayload.count
        return try restore(
            &self.decompressor,
            self.lastPayload,
            self.lastCodec,
            content.count
        )
    }

    mutating func restart() throws {
        try self.compressor.restart()
        try self.decompressor.restart()
    }
}

private func restore(
    _ decompressor: inout Decompressor,
    _ payload: [UInt8],
    _ codec: FrameCodec,
    _ count: Int
) throws -> [UInt8] {
    let guardByte: UInt8 = 0xA5
    var memory = [UInt8](repeating: guardByte, count: count + 64)
    try payload.withUnsafeBytes { payload in
        try memory.withUnsafeMutableBytes {
            try decompressor.decompress(
                payload,
                codec,
                into: UnsafeMutableRawBufferPointer(rebasing: $0[..<count])
            )
        }
    }
    #expect(memory[count...].allSatisfy { $0 == guardByte }, "written beyond the target")
    return Array(memory[..<count])
}

private func plugin(_ codec: FrameCodec) -> Plugin {
    Plugin(algorithm: codec == .zstd ? .zstd : .lz4, level: 1)
}

/// Stretches of noise, text and zeroes.
private func mixed(_ count: Int, _ random: inout SeededRandom) -> [UInt8] {
    let text = Array("INSERT INTO account VALUES (4711, 'replica', 0); ".utf8)
    var bytes: [UInt8] = []
    while bytes.count < count {
        let length = Int(random.below(20_000))
        switch random.below(3) {
        case 0: for _ in 0..<length { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
        case 1: for index in 0..<length { bytes.append(text[index % text.count]) }
        default: bytes.append(contentsOf: repeatElement(0, count: length))
        }
    }
    return Array(bytes[..<count])
}
