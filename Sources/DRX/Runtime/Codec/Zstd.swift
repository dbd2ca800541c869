// SPDX-License-Identifier: Apache-2.0

internal import CZstd
internal import Wire

/// A zstd stream that is flushed with each frame, so that a frame can be restored when it arrives.
final class ZstdCompressor {
    private let context: OpaquePointer

    init(level: UInt8, windowLog: Int32) throws(CodecError) {
        guard let context = ZSTD_createCCtx() else { throw .outOfMemory(.zstd) }
        self.context = context
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level)))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0))
    }

    deinit { ZSTD_freeCCtx(self.context) }

    func compress(
        _ content: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) -> Int {
        var input = ZSTD_inBuffer(src: content.baseAddress, size: content.count, pos: 0)
        var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
        let left = ZSTD_compressStream2(self.context, &output, &input, ZSTD_e_flush)
        try check(left)
        guard left == 0, input.pos == input.size else {
            throw .refused(.zstd, "the frame did not fit \(target.count) bytes")
        }
        return output.pos
    }

    func restart() throws(CodecError) {
        try check(ZSTD_CCtx_reset(self.context, ZSTD_reset_session_only))
    }
}

/// The other end of a ``ZstdCompressor``; takes no window larger than its own.
final class ZstdDecompressor {
    private let context: OpaquePointer

    init(windowLog: Int32) throws(CodecError) {
        guard let context = ZSTD_createDCtx() else { throw .outOfMemory(.zstd) }
        self.context = context
        try check(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowLog))
    }

    deinit { ZSTD_freeDCtx(self.context) }

    func decompress(
        _ payload: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        var input = ZSTD_inBuffer(src: payload.baseAddress, size: payload.count, pos: 0)
        var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
        while output.pos < output.size {
            let before = (input.pos, output.pos)
            try self.step(&output, &input)
            guard before != (input.pos, output.pos) else { break }
        }
        guard output.pos == output.size else {
            throw .wrongLength(.zstd, expected: target.count)
        }
        try self.requireEnd(&input, expected: target.count)
    }

    func restart() throws(CodecError) {
        try check(ZSTD_DCtx_reset(self.context, ZSTD_reset_session_only))
    }

    /// Verifies that the payload holds nothing beyond the frame's content.
    private func requireEnd(_ input: inout ZSTD_inBuffer, expected: Int) throws(CodecError) {
        var surplus: UInt8 = 0
        let byteCount = try withUnsafeMutableBytes(of: &surplus) { byte throws(CodecError) -> Int in
            var output = ZSTD_outBuffer(dst: byte.baseAddress, size: 1, pos: 0)
            while output.pos == 0 {
                let before = input.pos
                try self.step(&output, &input)
                guard input.pos > before else { break }
            }
            return output.pos
        }
        guard byteCount == 0, input.pos == input.size else {
            throw .wrongLength(.zstd, expected: expected)
        }
    }

    private func step(
        _ output: inout ZSTD_outBuffer,
        _ input: inout ZSTD_inBuffer
    ) throws(CodecError) {
        let result = ZSTD_decompressStream(self.context, &output, &input)
        guard ZSTD_isError(result) == 0 else { throw .corrupt(.zstd, reason(result)) }
    }
}

private func check(_ result: Int) throws(CodecError) {
    guard ZSTD_isError(result) == 0 else { throw .refused(.zstd, reason(result)) }
}

private func reason(_ result: Int) -> String { String(cString: ZSTD_getErrorName(result)) }
