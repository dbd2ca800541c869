// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Contract 3: the data of a replica that is not Inconsistent is that of some write boundary.
///
/// If one write was completed before another was submitted, a replica that has the newer one has
/// the older one, in every volume of the resource. Judged for each session by itself: what a
/// session began with is whatever its Primary had.
struct OrderCheck {
    /// One volume of a replica.
    struct Replica {
        let volume: Int
        let content: SectorContent
    }

    /// What is out of order in volumes that belong to `session`; nil if nothing is.
    static func fault(_ session: Int, _ replicas: [Replica], _ writes: WriteTable) -> String? {
        let newest = Self.newest(session, replicas, writes)
        guard newest > 0 else { return nil }
        for replica in replicas {
            if let fault = Self.fault(session, replica, newest, writes) { return fault }
        }
        return nil
    }

    /// When the youngest write that any of the volumes has was submitted.
    private static func newest(
        _ session: Int,
        _ replicas: [Replica],
        _ writes: WriteTable
    ) -> UInt64 {
        var highest: Content = 0
        for replica in replicas {
            let none = SectorContent(sectorCount: replica.content.sectorCount, initial: 0)
            replica.content.compare(with: none, below: none.sectorCount) { _, content, _ in
                if content >= WriteTable.firstContent, content > highest,
                    writes[content].session == session
                {
                    highest = content
                }
                return true
            }
        }
        return highest == 0 ? 0 : writes[highest].submittedAt
    }

    private static func fault(
        _ session: Int,
        _ replica: Replica,
        _ newest: UInt64,
        _ writes: WriteTable
    ) -> String? {
        var due = SectorContent(sectorCount: replica.content.sectorCount, initial: 0)
        for (index, write) in writes.writes.enumerated() {
            guard write.session == session, Int(write.volume) == replica.volume,
                let completedAt = write.completedAt, completedAt < newest
            else { continue }
            let content = WriteTable.firstContent + Content(index)
            due.update(write.range) { _, _ in content }
        }
        var fault: String?
        due.compare(with: replica.content, below: due.sectorCount) { sector, floor, content in
            guard floor > 0, content < floor else { return true }
            fault = writes.fault(UInt16(replica.volume), sector, content, floor: floor)
                .map {
                    "volume \(replica.volume) sector \(sector) \($0), completed before a write it "
                        + "has was submitted"
                }
            return fault == nil
        }
        return fault
    }
}
