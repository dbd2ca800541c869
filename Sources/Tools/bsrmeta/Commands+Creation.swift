// SPDX-License-Identifier: Apache-2.0

import Metadata

/// Commands that write metadata as a whole, or print it.
extension Session {
    func create() throws(Failure) -> Int32 {
        let slots = try self.requestedSlots()
        let geometry = try self.geometry()
        let layout = try self.newLayout(slots: slots, geometry: geometry)
        if self.options.verbosity > 1 { self.describe(layout) }
        if let present = try self.findAny() {
            try self.confirmOverwriting(present)
        } else if let former = try self.findLastKnown(), !self.options.force,
            Console.confirm("Move internal meta data from last-known position?", force: false)
        {
            _ = try self.move(former)
            return 0
        }
        try self.checkExistingData(layout)
        var metadata = StoredMetadata(creating: layout, version: self.invocation.version)
        if let bytes = self.options.peerMaximumRequestBytes {
            metadata.superblock.peerMaximumRequestBytes = bytes
        }
        try self.initialiseBitmap(layout)
        Console.print("initializing activity log\n")
        try self.initialiseActivityLog(layout)
        Console.print("Writing meta data...\n")
        try self.store(metadata)
        Console.print("New drbd meta data block successfully created.\n")
        return 0
    }

    private func requestedSlots() throws(Failure) -> BitmapGeometry {
        guard self.invocation.version == .v09 else { return .single }
        guard let count = Int(self.invocation.arguments[0]),
            let slots = BitmapGeometry(slotCount: count)
        else { throw .usage("MAX_PEERS argument not in allowed range 1 .. 31.") }
        return slots
    }

    private func describe(_ layout: Layout) {
        Console.error(
            """
            md_offset: \(layout.superblockPosition)
            al_offset: \(layout.activityLogPosition) (\(layout.storedActivityLogOffset))
            bm_offset: \(layout.bitmapPosition) (\(layout.storedBitmapOffset))
            md_size_sect: \(layout.metadataSectors)
            max_usable_sect: \(layout.usableSectors)
            """
        )
    }

    private func confirmOverwriting(_ present: StoredMetadata) throws(Failure) {
        let (old, new) = (present.superblock.version, self.invocation.version)
        if present.layout.placement.isInternal {
            Console.error(
                """
                You want me to create a \(new) style flexible-size internal meta data block.
                There appears to be a \(old) flexible-size internal meta data block
                already in place on \(self.file.path) at byte offset \
                \(present.layout.superblockPosition)
                """
            )
        } else if old == new {
            Console.error("Valid meta data seems to be in place.")
        }
        let question =
            old != new
            ? "So you want me to replace the \(old) meta-data\n"
                + "with newly initialized \(new) meta-data?"
            : present.layout.placement.isInternal
                ? "Do you really want to overwrite the existing meta-data?"
                : "Do you really want to overwrite?"
        guard Console.confirm(question, force: self.options.force) else { throw .declined() }
    }

    /// Refuses, or asks, if something lies on the device.
    private func checkExistingData(_ layout: Layout) throws(Failure) {
        let head = try self.file.read(at: 0, count: ExistingData.probeBytes)
        let verdict = ExistingDataVerdict(
            ExistingData(head.span.bytes),
            layout: layout,
            ignoresChecks: self.options.ignoresSanityChecks
        )
        Console.print(verdict.text)
        switch verdict.decision {
        case .proceed: return
        case .ask:
            guard Console.confirm("Do you want to proceed?", force: self.options.force) else {
                throw .declined(spelling: "Operation canceled.")
            }
        case .refuse: throw Failure(40, "bsrmeta: refused because of existing data")
        }
    }

    private func initialiseBitmap(_ layout: Layout) throws(Failure) {
        let start = layout.bitmapPosition
        let area = start..<start + layout.bitmapCapacity
        switch self.options.bitmapInitialisation {
        case .skip: Console.error("SKIPPED initializing bitmap area")
        case .automatic, .zeroout:
            Console.error("initializing bitmap (\(layout.bitmapCapacity >> 10) KB) to all zero")
            try self.file.zero(area)
        case .pwrite:
            Console.error(
                "initializing bitmap (\(layout.bitmapCapacity >> 10) KB) to all zero using pwrite"
            )
            try self.file.zero(area, always: true)
        }
    }

    func restore() throws(Failure) -> Int32 {
        if try self.find() != nil {
            guard
                Console.confirm(
                    "Valid meta-data in place, overwrite?",
                    force: self.options.force
                )
            else { throw .declined() }
        }
        let dump = try Self.readDump(self.invocation)
        let geometry = try self.geometry(standard: dump.geometry)
        if geometry != dump.geometry {
            Console.error("override activity log striping from commandline")
        }
        let layout = try self.newLayout(slots: dump.bitmap, geometry: geometry)
        Console.print("reinitializing\n")
        try self.checkExistingData(layout)
        var metadata = dump.place(on: layout)
        if let note = MetadataDump.truncationNote(metadata) {
            Console.print(note)
            metadata.superblock.effectiveSectors = metadata.effectiveSectors
        }
        try self.writeBitmap(of: dump, metadata)
        try self.store(metadata)
        Console.print("Successfully restored meta data\n")
        return 0
    }

    /// Writes the bitmaps of `dump`, and zero where the area is larger.
    private func writeBitmap(of dump: ParsedDump, _ metadata: StoredMetadata) throws(Failure) {
        var reader = BitmapRunReader(dump)
        let start = metadata.layout.bitmapPosition
        let used = metadata.bitmapBytes
        let partBytes = UInt64(BitmapText.partBytes(dump.bitmap))
        var done: UInt64 = 0
        while done < used {
            var part = [UInt8](repeating: 0, count: Int(min(partBytes, used - done)))
            part.withUnsafeMutableBytes { reader.fill($0) }
            try self.file.write(part, at: start + done)
            done += UInt64(part.count)
        }
        if reader.hasMore { Console.error("Bitmap info too large, truncated!") }
        guard metadata.layout.placement.isInternal else { return }
        try self.file.zero(start + used..<start + metadata.layout.bitmapCapacity)
    }

    /// `verify-dump`: reads the text and nothing else.
    static func verifyDump(_ invocation: Invocation) throws(Failure) -> Int32 {
        _ = try Self.readDump(invocation)
        Console.print("input file parsed ok\n")
        return 0
    }

    private static func readDump(_ invocation: Invocation) throws(Failure) -> ParsedDump {
        let path = invocation.arguments[0]
        guard let text = try WholeFile.read(path) else {
            throw Failure(20, "open of '\(path)' failed.")
        }
        do throws(DumpFault) { return try ParsedDump(text, version: invocation.version) } catch {
            throw Failure(10, "\(path): \(error)")
        }
    }

    func dump() throws(Failure) -> Int32 {
        let present = try self.find()
        let former = present == nil ? try self.findLastKnown() : nil
        guard let metadata = present ?? former else {
            throw self.noMetadata
        }
        if !metadata.superblock.isClean {
            Console.error("Found meta data is \"unclean\", please apply-al first")
            guard self.options.force else { return 1 }
        }
        if let note = MetadataDump.truncationNote(metadata) { Console.print(note) }
        let arguments = ["bsrmeta"] + CommandLine.arguments.dropFirst()
        let header = MetadataDump.Header(
            time: Console.time,
            host: Console.host,
            command: arguments.joined(separator: " "),
            formerDeviceBytes: present == nil ? metadata.layout.deviceBytes : nil
        )
        Console.print(MetadataDump.head(of: metadata, header: header))
        var setBits = 0
        for slot in 0..<metadata.layout.bitmap.slotCount {
            setBits = try self.printBitmap(ofSlot: slot, metadata)
        }
        Console.print(MetadataDump.tail(setBits: setBits))
        guard self.options.verbosity >= 10 else { return 0 }
        let ring = try self.activityLog(metadata.layout)
        Console.print(
            ActivityLogListing.text(
                ring: ring.span.bytes,
                geometry: metadata.layout.geometry,
                activityLogSlots: metadata.superblock.activityLogSlots
            )
        )
        return 0
    }

    /// Prints the bitmap of one slot and returns how many bits are set in it.
    private func printBitmap(
        ofSlot slot: Int,
        _ metadata: StoredMetadata
    ) throws(Failure) -> Int {
        let geometry = metadata.layout.bitmap
        var text = BitmapText(geometry, slot: slot)
        Console.print(BitmapText.opening(metadata.superblock.version, slot: slot))
        let partBytes = UInt64(BitmapText.partBytes(geometry))
        var done: UInt64 = 0
        while done < metadata.bitmapBytes {
            let count = Int(min(partBytes, metadata.bitmapBytes - done))
            let part = try self.file.read(at: metadata.layout.bitmapPosition + done, count: count)
            guard part.count == count else {
                throw Failure(10, "\(self.file.path): the bitmap ends beyond the device")
            }
            var output: [UInt8] = []
            text.append(part.span.bytes, to: &output)
            Console.print(output)
            done += UInt64(count)
        }
        var output: [UInt8] = []
        text.finish(to: &output)
        Console.print(output)
        Console.print(BitmapText.closing)
        return text.setBits
    }
}
