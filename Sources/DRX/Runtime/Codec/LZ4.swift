// SPDX-License-Identifier: Apache-2.0

internal import CLZ4
internal import Wire

/// The last bytes of a stream in one piece, as lz4 wants them in front of what comes next.
private struct LZ4History: ~Copyable {
    /// lz4 looks back so far.
    static let window = 64 * 1024
    private static let byteCount = window + 8 * Int(BridgeLimits.contentMaximum)

    let memory: UnsafeMutableRawBufferPointer
    private(set) var end = 0

    init() {
        self.memory = .allocate(byteCount: Self.byteCount, alignment: 64)
    }

    deinit { self.memory.deallocate() }

    /// Whether `count` bytes more fit behind the last ones.
    func hasRoom(_ count: Int) -> Bool { count <= self.memory.count - self.end }

    /// The place behind the last bytes.
    var next: UnsafeMutableRawPointer? { self.memory.baseAddress.map { $0 + self.end } }

    /// The number of bytes that lz4 may refer to.
    var depth: Int { min(self.end, Self.window) }

    mutating func append(_ count: Int) { self.end += count }

    /// Moves the bytes that lz4 may refer to, or those that it has moved itself, to the front.
    mutating func keep(_ count: Int, moved: Bool = false) {
        if !moved, let base = self.memory.baseAddress {
            base.copyMemory(from: base + self.end - count, byteCount: count)
        }
        self.end = count
    }

    mutating func removeAll() { self.end = 0 }
}

/// A chain of lz4 blocks, one a frame.
///
/// Levels 1 and 2 are lz4's fast search, those from 3 on its thorough one (lz4hc), as in the `lz4`
/// tool. The format is the same.
final class LZ4Compressor {
    private enum Search {
        case fast(UnsafeMutablePointer<LZ4_stream_t>)
        case thorough(UnsafeMutablePointer<LZ4_streamHC_t>, level: Int32)
    }

    private let search: Search
    private var history = LZ4History()

    init(level: Int) throws(CodecError) {
        if level < 3 {
            guard let stream = LZ4_createStream() else { throw .outOfMemory(.lz4) }
            self.search = .fast(stream)
        } else {
            guard let stream = LZ4_createStreamHC() else { throw .outOfMemory(.lz4) }
            let level = min(Int32(level), Int32(LZ4HC_CLEVEL_MAX))
            LZ4_resetStreamHC_fast(stream, level)
            self.search = .thorough(stream, level: level)
        }
    }

    deinit {
        switch self.search {
        case .fast(let stream): LZ4_freeStream(stream)
        case .thorough(let stream, _): LZ4_freeStreamHC(stream)
        }
    }

    func compress(
        _ content: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) -> Int {
        if !self.history.hasRoom(content.count) {
            let base = self.history.memory.baseAddress?.assumingMemoryBound(to: CChar.self)
            let window = Int32(LZ4History.window)
            let kept =
                switch self.search {
                case .fast(let stream): LZ4_saveDict(stream, base, window)
                case .thorough(let stream, _): LZ4_saveDictHC(stream, base, window)
                }
            self.history.keep(Int(kept), moved: true)
        }
        guard let source = content.baseAddress, let place = self.history.next,
            let output = target.baseAddress
        else { throw .refused(.lz4, "a frame has content") }
        place.copyMemory(from: source, byteCount: content.count)
        let count = self.compress(
            place.assumingMemoryBound(to: CChar.self),
            Int32(content.count),
            into: output.assumingMemoryBound(to: CChar.self),
            Int32(target.count)
        )
        guard count > 0 else {
            throw .refused(.lz4, "the frame did not fit \(target.count) bytes")
        }
        self.history.append(content.count)
        return Int(count)
    }

    private func compress(
        _ source: UnsafePointer<CChar>,
        _ count: Int32,
        into target: UnsafeMutablePointer<CChar>,
        _ room: Int32
    ) -> Int32 {
        switch self.search {
        case .fast(let stream):
            LZ4_compress_fast_continue(stream, source, target, count, room, 1)
        case .thorough(let stream, _):
            LZ4_compress_HC_continue(stream, source, target, count, room)
        }
    }

    func restart() {
        switch self.search {
        case .fast(let stream): LZ4_resetStream_fast(stream)
        case .thorough(let stream, let level): LZ4_resetStreamHC_fast(stream, level)
        }
        self.history.removeAll()
    }
}

/// The other end of an ``LZ4Compressor``.
final class LZ4Decompressor {
    private var history = LZ4History()

    init() throws(CodecError) {}

    func decompress(
        _ payload: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        if !self.history.hasRoom(target.count) { self.history.keep(self.history.depth) }
        guard let source = payload.baseAddress, let place = self.history.next else {
            throw .corrupt(.lz4, "a frame without payload")
        }
        let depth = self.history.depth
        let count = LZ4_decompress_safe_usingDict(
            source.assumingMemoryBound(to: CChar.self),
            place.assumingMemoryBound(to: CChar.self),
            Int32(payload.count),
            Int32(target.count),
            (place - depth).assumingMemoryBound(to: CChar.self),
            Int32(depth)
        )
        guard count >= 0 else { throw .corrupt(.lz4, "malformed block") }
        guard Int(count) == target.count else {
            throw .wrongLength(.lz4, expected: target.count)
        }
        target.copyMemory(from: UnsafeRawBufferPointer(start: place, count: target.count))
        self.history.append(target.count)
    }

    func restart() { self.history.removeAll() }
}
