// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Metadata
package import Primitives

/// A metadata device with a volatile cache, in blocks of 4096 bytes.
///
/// A power cut keeps any subset of the 512-byte sectors that no flush has covered.
package final class SimulatedMetadata {
    private struct Write {
        let number: UInt64
        let position: UInt64
        let bytes: [UInt8]
    }

    package private(set) var durable: MetadataImage
    package private(set) var current: MetadataImage
    private var cache: [Write] = []
    private var inFlight: [Write] = []
    private var number: UInt64 = 0
    /// A flush has failed: what is in the cache may be lost when the disk is closed.
    private var isDoomed = false
    /// The own node and the peer, as the superblock numbers them.
    package let nodes: (own: UInt8, peer: UInt8)

    /// Creates a device with what `create-md` leaves, for the volume of `sectors` that node `own`
    /// shares with `peer`, whose bitmap has the last of `slots` slots.
    package init(sectors: UInt64, slots: Int, own: UInt8, peer: UInt8) {
        guard let bitmap = BitmapGeometry(slotCount: slots) else {
            invariantBroken("1 to 31 bitmap slots")
        }
        let bytes =
            4096 + UInt64(ActivityLogGeometry.standard.byteCount)
            + bitmap.byteCount(forSectors: sectors)
        let layout: Layout
        do throws(LayoutFault) {
            layout = try Layout(
                .flexibleExternal,
                deviceBytes: max(bytes, Layout.deviceBytesMinimum),
                slots: bitmap
            )
        } catch { invariantBroken("a device that is large enough") }
        self.nodes = (own, peer)
        self.current = MetadataImage(layout: layout, slot: slots - 1)
        self.current.create()
        self.durable = self.current
    }

    /// A device in the same state.
    package init(copyOf other: SimulatedMetadata) {
        self.durable = other.durable
        self.current = other.current
        self.cache = other.cache
        self.inFlight = other.inFlight
        self.number = other.number
        self.isDoomed = other.isDoomed
        self.nodes = other.nodes
    }

    /// Metadata of a node that shares its data with its peer already.
    package func format(_ content: SuperblockContent) {
        var superblock = Superblock(creating: self.layout)
        superblock.apply(content, of: self.nodes.own, peer: self.nodes.peer, slot: self.slot)
        superblock.flags.insert(.activityLogClean)
        self.current.create(superblock)
        self.durable = self.current
    }

    package var layout: Layout { self.current.layout }
    package var slot: Int { self.current.slot }

    // MARK: Operations

    /// Takes a write of one block at byte `position`.
    package func begin(_ bytes: [UInt8], at position: UInt64) -> UInt64 {
        invariant(bytes.count == MetadataImage.blockBytes, "a whole block")
        self.number += 1
        self.inFlight.append(Write(number: self.number, position: position, bytes: bytes))
        return self.number
    }

    private func take(_ id: UInt64) -> Write? {
        guard let index = self.inFlight.firstIndex(where: { $0.number == id }) else { return nil }
        return self.inFlight.remove(at: index)
    }

    private func keep(_ bytes: [UInt8], at position: UInt64) {
        self.number += 1
        self.current[position] = bytes
        self.cache.append(Write(number: self.number, position: position, bytes: bytes))
    }

    package func complete(_ id: UInt64) {
        guard let write = self.take(id) else { return }
        self.keep(write.bytes, at: write.position)
    }

    /// A write fails: any of its sectors may have been written.
    package func fail(_ id: UInt64, _ random: inout SeededRandom) {
        guard let write = self.take(id) else { return }
        self.keepPartly(write, &random)
    }

    private func keepPartly(_ write: Write, _ random: inout SeededRandom) {
        let chance = Self.chance(&random)
        if chance == 0 { return }
        self.current.mix(write.bytes, at: write.position) { random.chance(chance, in: 4) }
        self.keep(self.current[write.position], at: write.position)
    }

    package var flushMark: UInt64 { self.number }

    package func flushed(_ mark: UInt64) {
        if self.isDoomed { return }
        for write in self.cache where write.number <= mark {
            self.durable[write.position] = write.bytes
        }
        self.cache.removeAll { $0.number <= mark }
    }

    /// A flush fails: no later one succeeds.
    package func flushFailed() { self.isDoomed = true }

    /// The process closes the device.
    package func close(_ random: inout SeededRandom) {
        if self.isDoomed { self.loseCache(&random) }
    }

    // MARK: Crashes

    /// The process is gone: what was handed over to the kernel may have been written, or not.
    package func kill(_ random: inout SeededRandom) {
        let writes = self.inFlight
        self.inFlight = []
        for write in writes { self.keepPartly(write, &random) }
        self.close(&random)
    }

    package func cutPower(_ random: inout SeededRandom) {
        self.kill(&random)
        self.loseCache(&random)
    }

    private func loseCache(_ random: inout SeededRandom) {
        self.isDoomed = false
        for write in self.cache {
            let chance = Self.chance(&random)
            self.durable.mix(write.bytes, at: write.position) { random.chance(chance, in: 4) }
        }
        self.cache.removeAll()
        self.current = self.durable
    }

    /// How many of four sectors a torn write keeps; all and none are likely.
    private static func chance(_ random: inout SeededRandom) -> UInt64 {
        switch random.below(4) {
        case 0: 0
        case 1: 4
        default: 1 + random.below(3)
        }
    }

    // MARK: Before an attach

    /// What `bsrmeta apply-al` leaves before the disk is attached; a sentence if it gives up.
    package func recover() -> String? {
        let fault = self.current.applyActivityLog()
        self.durable = self.current
        self.cache.removeAll()
        return fault
    }
}
