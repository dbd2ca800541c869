// SPDX-License-Identifier: Apache-2.0

import Metadata

extension ActivityLog {
    /// Writes the planned transaction into the first 4096 bytes of `memory`, as the ring on disk
    /// holds it.
    package func encode(into memory: UnsafeMutableRawBufferPointer) {
        var writer = ActivityLogBlockWriter(
            memory,
            transaction: self.transactionNumber,
            slotCount: self.slotCount,
            contextStart: self.contextStart
        )
        for number in 0..<self.updateCount {
            let update = self.update(at: number)
            writer.appendUpdate(slot: update.slot, extent: update.extent)
        }
        for number in 0..<self.contextCount { writer.appendContext(self.context(at: number)) }
        writer.finish()
    }
}
