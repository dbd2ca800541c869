// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
import Testing

/// Which metadata a disk may be attached with.
@Suite struct AttachCheckTests {
    private let layout: Layout
    private let clean: Superblock

    init() throws {
        self.layout = try Layout(
            .flexibleExternal,
            deviceBytes: 1 << 20,
            slots: try #require(BitmapGeometry(slotCount: 2))
        )
        var superblock = Superblock(creating: self.layout)
        superblock.flags.insert(.activityLogClean)
        self.clean = superblock
    }

    private func check(
        _ superblock: Superblock,
        sectors: UInt64 = 32_768,
        userSectors: UInt64 = 0
    ) throws -> EngineCore.Attachment {
        var core = Resource(parameters: ResourceParameters(), seed: 1)
        var actions = ActionQueue<ResourceAction>()
        var parameters = DiskParameters()
        parameters.userSectors = userSectors
        let added = core.addVolume(number: 0, minor: 1, parameters: parameters, into: &actions)
        return try core.attachment(
            try #require(added),
            superblock,
            self.layout,
            node: 0,
            peer: 1,
            dataSectors: sectors
        )
    }

    @Test func `a disk with room for what was agreed on is attached`() throws {
        #expect(try self.check(self.clean).diskSectors == 32_768)
        #expect(try self.check(self.clean, sectors: 8).diskSectors == 8)
        let most = try self.check(self.clean, sectors: .max).diskSectors
        #expect(most == self.layout.usableSectors)
    }

    @Test func `a disk that has become smaller than its data is refused`() throws {
        var superblock = self.clean
        superblock.effectiveSectors = 32_768
        superblock.flags.insert(.consistent)
        #expect(try self.check(superblock).agreedSectors == 32_768)
        let refusal = AttachRefusal.dataTooLarge(agreed: 32_768, room: 32_760)
        #expect(throws: refusal) { try self.check(superblock, sectors: 32_760) }
        #expect(throws: refusal) { try self.check(superblock, userSectors: 32_760) }
        superblock.flags.remove(.consistent)
        #expect(try self.check(superblock, sectors: 32_760).diskSectors == 32_760)
    }

    @Test func `metadata of others and disks without room are refused`() throws {
        #expect(throws: AttachRefusal.diskTooSmall) { try self.check(self.clean, sectors: 7) }
        var unclean = self.clean
        unclean.flags.remove(.activityLogClean)
        #expect(throws: AttachRefusal.metadata(.unclean)) { try self.check(unclean) }
        var foreign = self.clean
        foreign.nodeID = 5
        #expect(throws: AttachRefusal.metadata(.otherNode(stored: 5, own: 0))) {
            try self.check(foreign)
        }
        var full = self.clean
        full[peer: 2].bitmapSlot = 0
        #expect(try self.check(full).bitmapSlot == 1)
        full[peer: 3].bitmapSlot = 1
        #expect(throws: AttachRefusal.noBitmapSlot) { try self.check(full) }
    }
}
