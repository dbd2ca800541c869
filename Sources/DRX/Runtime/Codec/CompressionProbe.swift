// SPDX-License-Identifier: Apache-2.0

/// Notices when bytes do not compress, so that no work is wasted on them, and tries again now and
/// then.
///
/// After `patience` frames in a row that shrank by less than 1/16, the next `skipped` frames go as
/// they are; then one is tried. Each failed trial doubles the pause, up to 256 frames (32 MiB).
struct CompressionProbe {
    private static let patience = 4
    private static let pauseMinimum = 8
    private static let pauseMaximum = 256

    private var failures = 0
    private var skipped = 0
    private var pause = pauseMinimum

    /// Whether the next frame should be compressed.
    mutating func tryNext() -> Bool {
        guard self.skipped > 0 else { return true }
        self.skipped -= 1
        return false
    }

    /// Takes note of a compressed frame.
    mutating func compressed(_ contentByteCount: Int, to payloadByteCount: Int) {
        guard payloadByteCount > contentByteCount - contentByteCount / 16 else {
            self = Self()
            return
        }
        self.failures += 1
        guard self.failures >= Self.patience else { return }
        self.skipped = self.pause
        self.pause = min(self.pause * 2, Self.pauseMaximum)
    }
}
