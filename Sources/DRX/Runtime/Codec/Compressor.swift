// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Compresses the frames of one direction of one stream, each with the history of those before it.
///
/// A frame that goes as it is does not enter the history, on either side. Owned by one thread.
package struct Compressor: ~Copyable {
    private enum Method {
        case none
        case zstd(ZstdCompressor)
        case lz4(LZ4Compressor)
    }

    private var method: Method
    private var probe = CompressionProbe()

    /// Creates a compressor for `plugin`, or one that passes everything if that is nil.
    ///
    /// - Throws: `outOfMemory`, `refused`.
    package init(_ plugin: Plugin?, for type: ChannelType) throws(CodecError) {
        switch plugin?.algorithm {
        case nil: self.method = .none
        case .zstd:
            self.method = .zstd(
                try ZstdCompressor(level: plugin?.level ?? 1, windowLog: type.zstdWindowLog)
            )
        case .lz4: self.method = .lz4(try LZ4Compressor(level: Int(plugin?.level ?? 1)))
        }
    }

    /// How the compressed frames are coded.
    package var codec: FrameCodec {
        switch self.method {
        case .none: .none
        case .zstd: .zstd
        case .lz4: .lz4
        }
    }

    /// Compresses one frame's content of at most ``BridgeLimits/contentMaximum`` bytes.
    ///
    /// `target` has room for ``BridgeLimits/expansionMaximum`` bytes more than `content`.
    ///
    /// - Returns: the bytes written, or nil if the frame shall go as it is.
    /// - Throws: `refused`; the compressor must be restarted then.
    package mutating func compress(
        _ content: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) -> Int? {
        if case .none = self.method { return nil }
        guard self.probe.tryNext() else { return nil }
        let byteCount: Int
        switch self.method {
        case .none: return nil
        case .zstd(let zstd): byteCount = try zstd.compress(content, into: target)
        case .lz4(let lz4): byteCount = try lz4.compress(content, into: target)
        }
        self.probe.compressed(content.count, to: byteCount)
        return byteCount
    }

    /// Forgets the history: a new stream begins.
    ///
    /// - Throws: `refused`.
    package mutating func restart() throws(CodecError) {
        self.probe = CompressionProbe()
        switch self.method {
        case .none: return
        case .zstd(let zstd): try zstd.restart()
        case .lz4(let lz4): lz4.restart()
        }
    }
}

/// Restores the frames of one direction of one stream.
///
/// Contexts are made when a frame first needs them, so that a relay without compression pays
/// nothing. Owned by one thread.
package struct Decompressor: ~Copyable {
    private let windowLog: Int32
    private var zstd: ZstdDecompressor?
    private var lz4: LZ4Decompressor?

    /// Creates a decompressor for all codecs.
    package init(for type: ChannelType) { self.windowLog = type.zstdWindowLog }

    /// Restores one frame's content, which fills `target` exactly.
    ///
    /// Never writes beyond `target`, whatever the payload says.
    ///
    /// - Throws: `outOfMemory`, `corrupt`, `wrongLength`; the bridge is then closed.
    package mutating func decompress(
        _ payload: UnsafeRawBufferPointer,
        _ codec: FrameCodec,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        switch codec {
        case .none:
            guard payload.count == target.count else {
                throw .wrongLength(.none, expected: target.count)
            }
            target.copyMemory(from: payload)
        case .zstd:
            if self.zstd == nil { self.zstd = try ZstdDecompressor(windowLog: self.windowLog) }
            try self.zstd?.decompress(payload, into: target)
        case .lz4:
            if self.lz4 == nil { self.lz4 = try LZ4Decompressor() }
            try self.lz4?.decompress(payload, into: target)
        }
    }

    /// Forgets the history: a new stream begins.
    ///
    /// - Throws: `refused`.
    package mutating func restart() throws(CodecError) {
        try self.zstd?.restart()
        self.lz4?.restart()
    }
}

extension ChannelType {
    /// How far back zstd looks: 8 MiB for data, which repeats pages; 128 KiB for meta, to save
    /// memory.
    fileprivate var zstdWindowLog: Int32 {
        switch self {
        case .data: 23
        case .meta: 17
        }
    }
}
