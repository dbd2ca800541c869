// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Testing
import Wire

@Suite struct GenerationsTests {
    private func set(
        _ current: UInt64,
        _ bitmap: UInt64 = 0,
        _ history0: UInt64 = 0,
        _ history1: UInt64 = 0
    ) -> Generations {
        Generations(
            current: GenerationID(current),
            bitmap: GenerationID(bitmap),
            history0: GenerationID(history0),
            history1: GenerationID(history1)
        )
    }

    @Test func `a recorded split brain, resync, interruption and second resync`() {
        // split-brain.dmesg-a, from "new current UUID" to "updated UUIDs".
        var own = self.set(0x6C83_F14C_26A5_3699)
        own.startNew(0x8C2F_A931_82B5_0AE0, role: .secondary)
        #expect(own == self.set(0x8C2F_A931_82B5_0AE0, 0x6C83_F14C_26A5_3699))
        #expect(own.startResyncAsSource() == GenerationID(0x6C84_F14C_26A5_3699))
        #expect(
            own == self.set(0x8C2F_A931_82B5_0AE0, 0x6C84_F14C_26A5_3699, 0x6C83_F14C_26A5_3699)
        )
        #expect(own.startResyncAsSource() == GenerationID(0x6C85_F14C_26A5_3699))
        let whileRunning = own
        own.finishResyncAsSource()
        #expect(
            own
                == self.set(
                    0x8C2F_A931_82B5_0AE0,
                    0,
                    0x6C85_F14C_26A5_3699,
                    0x6C84_F14C_26A5_3699
                )
        )
        var peer = self.set(0x6C84_F14C_26A5_3698)
        peer.startResyncAsTarget(whileRunning.bitmap, role: .secondary)
        #expect(peer == self.set(0x6C85_F14C_26A5_3698))
        // What the peer was last sent is the set of before the second resync.
        let lastSent = self.set(
            0x8C2F_A931_82B5_0AE0,
            0x6C84_F14C_26A5_3699,
            0x6C83_F14C_26A5_3699
        )
        peer.finishResyncAsTarget(source: lastSent, role: .secondary)
        #expect(
            peer
                == self.set(
                    0x8C2F_A931_82B5_0AE0,
                    0,
                    0x6C85_F14C_26A5_3698,
                    0x6C84_F14C_26A5_3699
                )
        )
        #expect(peer.names(own))
    }

    @Test func `the first full sync is named after the generation it copies`() {
        // primary --force on fresh metadata, as in c-basic.dmesg-a but for the name of the resync.
        var own = Generations()
        own.startNew(0xEB4B_F23A_D459_B53F, role: .primary)
        #expect(own == self.set(0xEB4B_F23A_D459_B53F, 4))
        #expect(own.startResyncAsSource() == GenerationID(0xEB4C_F23A_D459_B53F))
        #expect(own == self.set(0xEB4B_F23A_D459_B53F, 0xEB4C_F23A_D459_B53F, 4))
        own.finishResyncAsSource()
        #expect(own == self.set(0xEB4B_F23A_D459_B53F, 0, 0xEB4C_F23A_D459_B53F, 4))
        // A second one of the same generation has another name.
        #expect(own.startResyncAsSource() == GenerationID(0xEB4D_F23A_D459_B53F))
    }

    @Test func `only a set that the peer may share asks for a new generation`() {
        let offset: UInt64 = 1 << 48
        #expect(self.set(0x10).peerMayHaveCurrent)
        #expect(!self.set(0x10, 0x20).peerMayHaveCurrent)
        #expect(!self.set(0x10, 4).peerMayHaveCurrent)
        var diverged = self.set(0x10, 0x20)
        _ = diverged.startResyncAsSource()
        #expect(diverged.peerMayHaveCurrent)
        var again = diverged
        _ = again.startResyncAsSource()
        #expect(again.peerMayHaveCurrent)
        // The end of the resync, torn: the history has it, the bitmap's name is the old one.
        var torn = self.set(0x10, 0x20 + offset, 0x20 + offset, 0x20)
        #expect(torn.peerMayHaveCurrent)
        #expect(self.set(0x10, 0x10).peerMayHaveCurrent)
        #expect(self.set(0x10, 0x20 + offset, 0x10, 0x20).peerMayHaveCurrent)
        torn.startNew(0x30, role: .primary)
        #expect(!torn.peerMayHaveCurrent)
        diverged.startNew(0x30, role: .primary)
        #expect(!diverged.peerMayHaveCurrent)
        #expect(diverged == self.set(0x31, 0x20 + offset, 0x10, 0x20))
        var fresh = self.set(0x10)
        _ = fresh.startResyncAsSource()
        #expect(fresh.peerMayHaveCurrent)
        // Without a base it looks like an older resync once more; the second generation is
        // harmless.
        fresh.startNew(0x30, role: .primary)
        #expect(fresh.peerMayHaveCurrent)
        fresh.startNew(0x40, role: .primary)
        #expect(!fresh.peerMayHaveCurrent)
    }

    @Test func `skipping the first sync leaves equal sets`() {
        var own = Generations()
        own.startNew(0x6C83_F14C_26A5_3698, role: .secondary)
        let sent = own
        own.bitmap = .empty
        var peer = Generations()
        peer.adopt(sent.current, role: .secondary)
        #expect(own == peer)
        #expect(own == self.set(0x6C83_F14C_26A5_3698))
    }

    @Test func `a second new generation keeps the one that the bits count from`() {
        var own = self.set(0x10)
        own.startNew(0x20, role: .primary)
        own.startNew(0x30, role: .primary)
        #expect(own == self.set(0x31, 0x10, 0x21))
    }

    @Test func `a new name never repeats one that is in use`() {
        for random: UInt64 in [0, 1, 4, 5, 0x10, 0x11, 0x20] {
            var own = self.set(0x10, 0, 0x20)
            own.startNew(random, role: .secondary)
            #expect(!own.current.isBlank)
            #expect(!own.current.names(GenerationID(0x10)))
            #expect(!own.current.names(GenerationID(0x20)))
        }
    }

    @Test func `bit 0 follows the role and is not part of the name`() {
        var own = self.set(0x10)
        own.mark(for: .primary)
        #expect(own.current == GenerationID(0x11))
        #expect(own.current.wasPrimary)
        #expect(own.names(self.set(0x10)))
        own.mark(for: .secondary)
        #expect(own.current == GenerationID(0x10))
    }

    @Test(arguments: [
        (DiskState.upToDate, DiskState.unknown, true), (.inconsistent, .unknown, true),
        (.consistent, .outdated, true), (.upToDate, .diskless, true), (.upToDate, .failed, true),
        (.unknown, .outdated, true), (.unknown, .diskless, true), (.outdated, .unknown, false),
        (.unknown, .unknown, false), (.upToDate, .inconsistent, false), (.diskless, .failed, false),
    ])
    func `a Primary that loses the peer's data starts a generation`(
        old: DiskState,
        new: DiskState,
        expected: Bool
    ) {
        let before = VolumeState(role: .primary, disk: .upToDate, peerDisk: old)
        let after = VolumeState(role: .primary, disk: .upToDate, peerDisk: new)
        let set = self.set(0x10)
        #expect(GenerationRules.needsNew(from: before, to: after, generations: set) == expected)
        let diverging = self.set(0x10, 0x8)
        #expect(!GenerationRules.needsNew(from: before, to: after, generations: diverging))
        var secondary = after
        secondary.role = .secondary
        #expect(!GenerationRules.needsNew(from: before, to: secondary, generations: set))
    }

    @Test func `a Secondary with the only copy of what a diskless Primary writes starts one`() {
        let before = VolumeState(
            peerRole: .secondary,
            connection: .connected,
            disk: .upToDate,
            peerDisk: .diskless
        )
        var after = before
        after.peerRole = .primary
        let set = self.set(0x10)
        #expect(GenerationRules.needsNew(from: before, to: after, generations: set))
        #expect(!GenerationRules.needsNew(from: after, to: after, generations: set))
    }

    @Test func `promotion starts a generation when alone or forced`() {
        let alone = VolumeState(role: .primary, connection: .wfConnection, disk: .upToDate)
        let connected = VolumeState(
            role: .primary,
            connection: .connected,
            disk: .upToDate,
            peerDisk: .upToDate
        )
        func needs(_ state: VolumeState, _ set: Generations, forced: Bool = false) -> Bool {
            GenerationRules.promotionNeedsNew(in: state, forced: forced, generations: set)
        }
        #expect(needs(alone, self.set(0x10)))
        #expect(!needs(alone, self.set(0x10, 0x8)))
        #expect(!needs(connected, self.set(0x10)))
        #expect(needs(connected, self.set(0x10, 0x8), forced: true))
    }
}
