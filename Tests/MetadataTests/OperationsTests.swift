// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

struct GenerationLineTests {
    private static func superblock() throws -> AnySuperblock {
        .v09(Superblock(creating: try layout(.internal, bytes: 64 << 20, peers: 2)))
    }

    @Test("TOOL-10 generations and flags are printed and set in the field's order")
    func change() throws {
        var superblock = try Self.superblock()
        var line = GenerationLine(superblock, node: 1)
        #expect(
            line.text
                == "0000000000000004:0000000000000000:0000000000000000:0000000000000000"
                + ":0:0:0:0:1:0:0:0:0:0:0:0"
        )
        try line.change(to: "AAAABBBBCCCCDDDD:1:2:3:1:1:1:1:1:1:1:1:1:1:1:1")
        line.store(in: &superblock, node: 1)
        #expect(superblock.flags.rawValue == 0x3D3)
        guard case .v09(let block) = superblock else { return }
        #expect(block[peer: 1].flags.rawValue == 0x1F)
        #expect(block[peer: 0].flags.isEmpty)
        #expect(block[history: 1] == 3)
        try line.change(to: ":::5:0")
        #expect(
            line.text.hasPrefix(
                "AAAABBBBCCCCDDDD:0000000000000001:0000000000000002:0000000000000005:0:1:"
            )
        )
    }

    @Test func `refuses what is no line`() throws {
        for text in ["junk", "1:2:3:4:2", "+1", "11111111111111111", ":::::::::::::::::", "-"] {
            var line = GenerationLine(try Self.superblock(), node: 1)
            let before = line
            #expect(throws: GenerationLineFault.self) { try line.change(to: text) }
            #expect(line == before)
        }
    }

    @Test func `forgetting a peer frees its slot and keeps the first generation`() throws {
        guard case .v09(var block) = try Self.superblock() else { return }
        block.nodeID = 0
        for node in UInt8(2)..<32 { block[peer: node].bitmapGeneration = 0xD0 }
        block[peer: 1].bitmapSlot = 1
        block[peer: 1].flags = [.connected, .deviceSeen]
        block[peer: 1].bitmapGeneration = 7
        let freed = block.forgetPeer(1)
        #expect(freed == 1)
        #expect(block[peer: 1] == block[peer: 31])
        #expect(block[peer: 1].bitmapGeneration == 0xD0)
        let freedAgain = block.forgetPeer(1)
        #expect(freedAgain == nil)
    }

    @Test func `disk states follow the flags`() throws {
        var superblock = try Self.superblock()
        #expect(superblock.diskStateName == "Inconsistent")
        let isRefused = !superblock.outdate()
        #expect(isRefused)
        superblock.flags.insert([.consistent, .wasUpToDate])
        #expect(superblock.diskStateName == "Consistent")
        let isOutdated = superblock.outdate()
        #expect(isOutdated)
        #expect(superblock.diskStateName == "Outdated")
        superblock.invalidate()
        #expect(superblock.diskStateName == "Inconsistent")
        guard case .v09(let block) = superblock else { return }
        #expect(block.peers.allSatisfy { $0.flags == .fullSync })
    }

    @Test func `an engine gets no metadata of another node, nor slots that clash`() throws {
        guard case .v09(var block) = try Self.superblock() else { return }
        block[peer: 1].bitmapSlot = 0
        try block.checkAttach(asNode: 0)
        block[peer: 2].bitmapSlot = 0
        #expect(throws: Superblock.AttachFault.peerSlot(peer: 2, slot: 0)) {
            try block.checkAttach(asNode: 0)
        }
        block[peer: 2].bitmapSlot = 2
        #expect(throws: Superblock.AttachFault.peerSlot(peer: 2, slot: 2)) {
            try block.checkAttach(asNode: 0)
        }
        block[peer: 2].bitmapSlot = nil
        #expect(throws: Superblock.AttachFault.ownSlot(0)) { try block.checkAttach(asNode: 1) }
        block.nodeID = 3
        #expect(throws: Superblock.AttachFault.otherNode(stored: 3, own: 0)) {
            try block.checkAttach(asNode: 0)
        }
        block.nodeID = 0
        block.flags = []
        #expect(throws: Superblock.AttachFault.unclean) { try block.checkAttach(asNode: 0) }
    }
}

struct ExistingDataTests {
    /// Writes `bytes` at `offset` into a device's first bytes.
    private static func probe(_ patches: [(Int, [UInt8])]) -> ExistingData {
        var bytes = [UInt8](repeating: 0, count: ExistingData.probeBytes)
        for (offset, patch) in patches {
            bytes.replaceSubrange(offset..<offset + patch.count, with: patch)
        }
        return ExistingData(bytes.span.bytes)
    }

    @Test func `knows what lies on a device`() {
        #expect(Self.probe([]) == .nothing)
        #expect(Self.probe([(69631, [1])]) == .someData)
        let ext: [(Int, [UInt8])] = [
            (0x438, [0x53, 0xEF]), (0x404, [0, 0x20, 0, 0]), (0x418, [2, 0, 0, 0]),
        ]
        #expect(Self.probe(ext) == .recognised(name: "ext2 filesystem", bytes: 8192 * 4096))
        #expect(
            Self.probe(ext + [(0x45C, [4])])
                == .recognised(name: "ext3 filesystem", bytes: 8192 * 4096)
        )
        #expect(
            Self.probe([(0, Array("XFSB".utf8) + [0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0])])
                == .recognised(name: "xfs filesystem", bytes: 256 * 4096)
        )
        #expect(
            Self.probe([(0, Array("XFSB".utf8) + [UInt8](repeating: 0xFF, count: 12))])
                == .recognised(name: "xfs filesystem", bytes: nil)
        )
        #expect(
            Self.probe([(4086, Array("SWAPSPACE2".utf8))])
                == .recognised(name: "swap space signature", bytes: nil)
        )
        #expect(
            Self.probe([(0x218, Array("LVM2".utf8))])
                == .recognised(name: "LVM2 physical volume signature", bytes: nil)
        )
        #expect(
            Self.probe([
                (0x8000, Array("JFS1".utf8)), (0x8008, [0, 1]), (0x8018, [0, 16]),
            ]) == .recognised(name: "JFS filesystem", bytes: 256 * 4096)
        )
        #expect(
            Self.probe([
                (0x10034, Array("ReIsEr2Fs".utf8)), (0x10000, [0, 1]), (0x1002C, [0, 16]),
            ]) == .recognised(name: "reiser filesystem", bytes: 256 * 4096)
        )
    }

    @Test func `decides as drbdmeta does`() throws {
        let inside = try layout(.internal, bytes: 64 << 20, peers: 1)
        let outside = try layout(.flexibleExternal, bytes: 64 << 20, peers: 1)
        let small = ExistingData.recognised(name: "ext3 filesystem", bytes: 8 << 20)
        let full = ExistingData.recognised(name: "ext3 filesystem", bytes: 64 << 20)
        let swap = ExistingData.recognised(name: "swap space signature", bytes: nil)
        let rows: [(ExistingData, Layout, Bool, ExistingDataVerdict.Decision)] = [
            (.nothing, inside, false, .proceed), (.someData, inside, false, .ask),
            (.someData, outside, true, .ask), (small, inside, false, .ask),
            (full, inside, false, .refuse), (full, inside, true, .refuse),
            (swap, inside, false, .refuse), (swap, inside, true, .proceed),
            (small, outside, false, .refuse), (small, outside, true, .proceed),
        ]
        for (data, layout, ignores, decision) in rows {
            let verdict = ExistingDataVerdict(data, layout: layout, ignoresChecks: ignores)
            #expect(verdict.decision == decision, "\(data) \(layout.placement) \(ignores)")
            #expect(verdict.text.isEmpty == (data == .nothing))
        }
        #expect(
            ExistingDataVerdict(full, layout: inside, ignoresChecks: false).text.contains(
                "       65536 kB data area apparently used\n"
                    + "       65496 kB left usable by current configuration\n"
            )
        )
    }
}

struct RelocationTests {
    /// Carries a plan out on memory as the tool does on a device.
    private static func move(_ device: inout [UInt8], _ plan: Relocation) {
        let log = plan.from.geometry.byteCount
        let source = Int(plan.from.activityLogPosition)
        let ring = Array(device[source..<source + log])
        for copy in plan.bitmapCopies {
            let bytes = Array(device[Int(copy.source)..<Int(copy.source) + copy.count])
            device.replaceSubrange(Int(copy.target)..<Int(copy.target) + copy.count, with: bytes)
        }
        for index in plan.bitmapGrowth { device[Int(index)] = 0 }
        let target = Int(plan.to.activityLogPosition)
        device.replaceSubrange(target..<target + log, with: ring)
        for index in plan.remains { device[Int(index)] = 0 }
    }

    @Test func `bitmap and activity log arrive whole, however small the step`() throws {
        var random = SeededRandom(seed: 7)
        for round in 0..<80 {
            let size = (1 << 17) + random.below(1 << 17)
            let growth = round % 2 == 0 ? 4096 + random.below(8192) : random.below(1 << 18) + 4096
            let peers = 1 + Int(random.below(31))
            let old = try layout(.internal, bytes: size, peers: peers)
            let plan = try Relocation(
                StoredMetadata(creating: old, version: .v09),
                toDeviceBytes: size + growth
            )
            var device = (0..<Int(size + growth)).map { UInt8($0 * 167 >> 5 & 0xFF) }
            let before = device
            Self.move(&device, plan)
            let kept = Int(old.bitmapCapacity)
            let (from, to) = (Int(old.bitmapPosition), Int(plan.to.bitmapPosition))
            #expect(device[to..<to + kept] == before[from..<from + kept])
            let log = old.geometry.byteCount
            let (logFrom, logTo) = (
                Int(old.activityLogPosition), Int(plan.to.activityLogPosition)
            )
            #expect(device[logTo..<logTo + log] == before[logFrom..<logFrom + log])
            #expect(device[..<from] == before[..<from])
            #expect(device[from..<min(to, Int(size))].allSatisfy { $0 == 0 } || to <= from)
            #expect(plan.to.bitmap == old.bitmap && plan.to.geometry == old.geometry)
        }
    }

    @Test func `a device that has not grown is refused`() throws {
        let metadata = StoredMetadata(
            creating: try layout(.internal, bytes: 2 << 20, peers: 1),
            version: .v09
        )
        let sizes: [UInt64] = [1 << 20, 2 << 20, 2 << 20 | 4095]
        for bytes in sizes {
            #expect(throws: LayoutFault.self) { try Relocation(metadata, toDeviceBytes: bytes) }
        }
    }

    @Test func `the side file is read as it was written`() {
        for uuid in [UInt64(0), 0xAB] {
            let known = LastKnownDevice(deviceBytes: 5, path: "/a b/c", deviceUUID: uuid)
            #expect(LastKnownDevice(known.text) == known)
        }
        for text in ["", "x\ty\n", "5\n", "5\ty\nuuid:\tZ\n"] {
            #expect(LastKnownDevice(text) == nil)
        }
    }
}
