// SPDX-License-Identifier: Apache-2.0

import Metadata

extension Invocation {
    /// Carries the command out and returns the exit status.
    func run() throws(Failure) -> Int32 {
        // Only a dump is looked at; the device need not exist.
        if self.command == .verifyDump { return try Session.verifyDump(self) }
        let session = try Session(self)
        switch self.command {
        case .createMetadata: return try session.create()
        case .restoreMetadata: return try session.restore()
        case .dumpMetadata: return try session.dump()
        case .verifyDump: return 0
        case .applyActivityLog: return try session.applyActivityLog()
        case .getGenerations: return try session.getGenerations()
        case .showGenerations: return try session.showGenerations()
        case .setGenerations: return try session.setGenerations()
        case .wipeMetadata: return try session.wipe()
        case .outdate: return try session.outdate()
        case .invalidate: return try session.invalidate()
        case .diskState: return try session.printDiskState()
        case .readDeviceUUID: return try session.readDeviceUUID()
        case .writeDeviceUUID: return try session.writeDeviceUUID()
        case .checkResize: return try session.checkResize()
        case .forgetPeer: return try session.forgetPeer()
        }
    }
}

extension Session {
    /// The peer that the command speaks of; the command line was checked for it.
    private var node: UInt8 { self.options.nodeID ?? 0 }

    func getGenerations() throws(Failure) -> Int32 {
        let metadata = try self.require()
        Console.print(GenerationLine(metadata.superblock, node: self.node).text + "\n")
        return 0
    }

    func showGenerations() throws(Failure) -> Int32 {
        let metadata = try self.require()
        Console.print(GenerationLine(metadata.superblock, node: self.node).legend)
        Console.print(metadata.superblock.generationSummary)
        return 0
    }

    func setGenerations() throws(Failure) -> Int32 {
        var metadata = try self.require()
        let before = GenerationLine(metadata.superblock, node: self.node)
        var after = before
        do throws(GenerationLineFault) { try after.change(to: self.invocation.arguments[0]) } catch
        {
            throw Failure(10, "set-gi: \(error)")
        }
        Console.print("previously \(before.text)\nset GI to  \(after.text)\n")
        guard Console.confirm("Write new GI to disk?", force: self.options.force) else {
            Console.print("Operation canceled.\n")
            return 0
        }
        after.store(in: &metadata.superblock, node: self.node)
        try self.store(metadata)
        return 0
    }

    func outdate() throws(Failure) -> Int32 {
        var metadata = try self.require()
        guard metadata.superblock.outdate() else { throw Failure(5, "Device is inconsistent.") }
        try self.store(metadata)
        return 0
    }

    func invalidate() throws(Failure) -> Int32 {
        var metadata = try self.require()
        metadata.superblock.invalidate()
        try self.store(metadata)
        return 0
    }

    func printDiskState() throws(Failure) -> Int32 {
        Console.print(try self.require().superblock.diskStateName + "\n")
        return 0
    }

    func readDeviceUUID() throws(Failure) -> Int32 {
        Console.print(try self.require().superblock.deviceUUID.hex16 + "\n")
        return 0
    }

    func writeDeviceUUID() throws(Failure) -> Int32 {
        let text = self.invocation.arguments[0]
        let digits = text.hasPrefix("0x") ? text.dropFirst(2) : text[...]
        guard digits.utf8.count <= 16, digits.first != "+", let uuid = UInt64(digits, radix: 16)
        else {
            throw Failure(10, "'\(text)' is not a number of up to 16 hexadecimal digits")
        }
        var metadata = try self.require()
        metadata.superblock.deviceUUID = uuid
        try self.store(metadata)
        return 0
    }

    func forgetPeer() throws(Failure) -> Int32 {
        var metadata = try self.require()
        guard case .v09(var block) = metadata.superblock else {
            throw Failure(1, "forget-peer: \(self.invocation.version) meta data has no peers")
        }
        if let slot = block.forgetPeer(self.node), Int(slot) < block.bitmap.slotCount {
            Console.error("Setting all bits in slot \(slot): its next peer may differ anywhere.")
            try self.setAllBits(ofSlot: Int(slot), metadata)
        }
        metadata.superblock = .v09(block)
        try self.store(metadata)
        return 0
    }

    /// Sets the bits of one slot for the whole agreed size.
    private func setAllBits(ofSlot slot: Int, _ metadata: StoredMetadata) throws(Failure) {
        let geometry = metadata.layout.bitmap
        let bits = BitmapGeometry.bitCount(forSectors: metadata.effectiveSectors)
        var words = [UInt64](repeating: .max, count: Int((bits + 63) / 64))
        if bits % 64 != 0, !words.isEmpty { words[words.count - 1] = (1 << (bits % 64)) - 1 }
        for page in 0..<metadata.bitmapBytes / UInt64(BitmapGeometry.pageBytes) {
            let position = metadata.layout.bitmapPosition + page * UInt64(BitmapGeometry.pageBytes)
            var bytes = try self.file.read(at: position, count: BitmapGeometry.pageBytes)
            guard bytes.count == BitmapGeometry.pageBytes else { return }
            words.withUnsafeBufferPointer { words in
                bytes.withUnsafeMutableBytes {
                    geometry.encode(words, slot: slot, page: page, into: $0)
                }
            }
            try self.file.write(bytes, at: position)
        }
        try self.file.flush()
    }

    func wipe() throws(Failure) -> Int32 {
        guard let metadata = try self.find() else {
            Console.print("There appears to be no drbd meta data to wipe out?\n")
            return 0
        }
        let question = "Do you really want to wipe out the DRBD meta data?"
        guard Console.confirm(question, force: self.options.force) else { throw .declined() }
        Console.print("Wiping meta data...\n")
        let start = metadata.layout.superblockPosition
        try self.file.zero(start..<start + UInt64(Superblock.byteCount), always: true)
        try self.file.flush()
        self.forgetDevice()
        Console.print("DRBD meta data block successfully wiped out.\n")
        return 0
    }
}
