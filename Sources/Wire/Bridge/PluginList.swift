// SPDX-License-Identifier: Apache-2.0

/// How bytes are processed on the bridge; both relays must be configured alike.
package struct Plugin: Hashable, Sendable, BitwiseCopyable {
    /// The algorithm.
    package enum Algorithm: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
        case zstd = 1
        case lz4 = 2

        /// The word of the configuration.
        package var name: String {
            switch self {
            case .zstd: "zstd"
            case .lz4: "lz4"
            }
        }
    }

    package var algorithm: Algorithm
    /// The compression level, 1 to 22.
    package var level: UInt8

    /// Creates a plugin.
    package init(algorithm: Algorithm, level: UInt8) {
        self.algorithm = algorithm
        self.level = level
    }

    /// The plugin as a line of the configuration has it.
    package var text: String { "\(self.algorithm.name) level \(self.level)" }
}

extension [Plugin] {
    /// The list as configured; "none" when it is empty.
    package var text: String {
        self.isEmpty ? "none" : self.map(\.text).joined(separator: ", ")
    }
}

/// How the payload of one data frame is coded.
package enum FrameCodec: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// As it is; such a frame does not enter a compressor's history.
    case none = 0
    case zstd = 1
    case lz4 = 2
}
