// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Why a frame could not be compressed or decompressed; the bridge is then closed.
package enum CodecError: Error, Hashable, Sendable {
    /// The library found no memory for a context.
    case outOfMemory(FrameCodec)
    /// A setting or a call was refused by the library: a fault of ours.
    case refused(FrameCodec, String)
    /// The payload is not what a compressor made of the bytes before it.
    case corrupt(FrameCodec, String)
    /// The payload stands for another number of bytes than its frame says.
    case wrongLength(FrameCodec, expected: Int)
}

extension CodecError: CustomStringConvertible {
    /// A sentence for the log.
    package var description: String {
        switch self {
        case .outOfMemory(let codec): "no memory for a context of \(codec)"
        case .refused(let codec, let reason): "\(codec) refused a call: \(reason)"
        case .corrupt(let codec, let reason):
            "a frame compressed with \(codec) is corrupt: \(reason)"
        case .wrongLength(let codec, let expected):
            "a frame compressed with \(codec) does not hold the \(expected) bytes it promises"
        }
    }
}
