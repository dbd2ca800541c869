// SPDX-License-Identifier: Apache-2.0

import Metadata

/// Commands that bring metadata in order after a crash or a change of size.
extension Session {
    func applyActivityLog() throws(Failure) -> Int32 {
        var metadata: StoredMetadata
        if let found = try self.find() {
            metadata = found
        } else if let former = try self.findLastKnown() {
            metadata = try self.move(former)
        } else {
            throw self.noMetadata
        }
        let layout = metadata.layout
        let ring = try self.activityLog(layout)
        let verdict = ActivityLogVerdict(
            ActivityLogReplay(ring: ring.span.bytes, geometry: layout.geometry),
            superblock: metadata.superblock,
            bitmapBytes: metadata.bitmapBytes
        )
        for message in verdict.messages { Console.error(message) }
        switch verdict.action {
        case .fail: return 1
        case .apply(let extents, let initialisesRing):
            if !extents.isEmpty { try self.mark(extents, metadata) }
            if initialisesRing {
                try self.initialiseActivityLog(layout)
                try self.file.flush()
            }
            metadata.superblock.markClean()
            try self.store(metadata)
            return 0
        }
    }

    /// Sets the bits of `extents` for all slots, durably.
    private func mark(_ extents: [UInt32], _ metadata: StoredMetadata) throws(Failure) {
        var added = 0
        for extent in extents {
            let range = metadata.layout.bitmap.byteRange(ofExtent: extent)
            let position = metadata.layout.bitmapPosition + range.lowerBound
            let count = Int(min(range.upperBound, metadata.bitmapBytes) - range.lowerBound)
            var bytes = try self.file.read(at: position, count: count)
            added += bytes.withUnsafeMutableBytes { BitmapGeometry.setAll(in: $0) }
            try self.file.write(bytes, at: position)
        }
        try self.file.flush()
        Console.error(ActivityLogVerdict.marked(bits: added))
    }

    func checkResize() throws(Failure) -> Int32 {
        if let metadata = try self.find() {
            guard self.remember(metadata) else {
                throw Failure(1, "the size of \(self.file.path) could not be remembered")
            }
            return 0
        }
        guard self.invocation.placement.isInternal else {
            throw Failure(1, "Operation only supported for >= v8 internal meta data")
        }
        guard let former = try self.findLastKnown() else {
            throw Failure(1, "no suitable meta data found :(")
        }
        _ = try self.move(former)
        return 0
    }

    /// Moves internal metadata to the end of a device that has grown.
    func move(_ former: StoredMetadata) throws(Failure) -> StoredMetadata {
        let plan: Relocation
        do throws(LayoutFault) {
            plan = try Relocation(former, toDeviceBytes: self.file.byteCount)
        } catch { throw Failure(1, "\(self.file.path): \(error)") }
        Console.error("Moving the internal meta data to its proper location")
        let ring = try self.activityLog(plan.from)
        for copy in plan.bitmapCopies {
            let bytes = try self.file.read(at: copy.source, count: copy.count)
            try self.file.write(bytes, at: copy.target)
        }
        try self.file.zero(plan.bitmapGrowth)
        try self.file.write(ring, at: plan.to.activityLogPosition)
        var metadata = former
        metadata.layout = plan.to
        metadata.superblock.move(to: plan.to)
        try self.store(metadata)
        try self.file.zero(plan.remains)
        try self.file.flush()
        Console.print("Internal drbd meta data successfully moved.\n")
        return metadata
    }
}
