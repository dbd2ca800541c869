// SPDX-License-Identifier: Apache-2.0

import Foundation
import Metadata

/// What the metadata file of one node says, read while nobody writes to it.
struct NodeMetadata {
    /// Why the file is no metadata of a node.
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    private let stored: StoredMetadata
    private let superblock: Superblock
    private let file: [UInt8]

    /// Reads flexible external metadata.
    init(path: String) throws {
        self.file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let size = UInt64(self.file.count)
        let position = Int(try Layout.superblockPosition(.flexibleExternal, deviceBytes: size))
        self.stored = try StoredMetadata(
            decoding: self.file[position..<position + Superblock.byteCount].span.bytes,
            version: .v09,
            placement: .flexibleExternal,
            deviceBytes: size
        )
        guard case .v09(let superblock) = self.stored.superblock else {
            throw Fault(description: "\(path) holds no v09 metadata")
        }
        self.superblock = superblock
    }

    /// The blocks that may differ from those of `peer`: marked in the bitmap, or in an extent that
    /// the activity log of a Primary names.
    func marks(towards peer: UInt8, sectorCount: Int) throws -> BlockSet {
        var marks = BlockSet(sectorCount: sectorCount)
        let entry = self.superblock[peer: peer]
        guard let slot = entry.bitmapSlot else {
            throw Fault(description: "there is no bitmap for node \(peer)")
        }
        let blocks = sectorCount / BlockSet.sectorsPerBlock
        if entry.flags.contains(.fullSync) {
            marks.insert(0..<blocks)
            return marks
        }
        let bitmap = self.stored.layout.bitmap
        let pageCount = self.stored.bitmapBytes / UInt64(BitmapGeometry.pageBytes)
        marks.withWords { words in
            for page in 0..<pageCount {
                let start = Int(self.stored.layout.bitmapPosition) + Int(page) * 4096
                bitmap.decode(
                    self.file[start..<start + 4096].span.bytes,
                    slot: Int(slot),
                    page: page,
                    bitCount: UInt64(blocks),
                    into: words
                )
            }
        }
        for extent in try self.hotExtents() {
            let first = Int(extent) * Int(BitmapGeometry.bitsPerExtent)
            marks.insert(first..<min(first + Int(BitmapGeometry.bitsPerExtent), blocks))
        }
        return marks
    }

    /// The extents that the activity log adds to the bitmap when it is applied.
    private func hotExtents() throws -> [UInt32] {
        let layout = self.stored.layout
        let start = Int(layout.activityLogPosition)
        let replay = ActivityLogReplay(
            ring: self.file[start..<start + layout.geometry.byteCount].span.bytes,
            geometry: layout.geometry
        )
        let verdict = ActivityLogVerdict(
            replay,
            superblock: self.stored.superblock,
            bitmapBytes: self.stored.bitmapBytes
        )
        switch verdict.action {
        case .apply(let extents, initialisesRing: _): return extents
        case .fail:
            throw Fault(description: "its activity log is unusable: \(verdict.messages)")
        }
    }
}
