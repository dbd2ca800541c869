// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Contract 1: a read at the Primary returns the last acknowledged write of each sector, or one
/// that was not yet acknowledged; where the session has written nothing, what was there before.
struct ReadCheck {
    /// A read of a session that was submitted when the session's floors were these.
    struct Read {
        let session: Int
        let volume: UInt16
        let range: SectorRange
        let floors: SectorContent
    }

    /// What a read finds wrong; nil if nothing.
    static func fault(
        _ read: Read,
        _ content: [Content],
        _ sessions: Sessions,
        _ writes: WriteTable
    ) -> String? {
        let session = sessions.all[read.session]
        for (offset, found) in content.enumerated() {
            let sector = Int(read.range.start) + offset
            let floor = read.floors[sector]
            let base = session.base[Int(read.volume)][sector]
            if floor == 0, found == base { continue }
            let isOfSession =
                found < WriteTable.firstContent
                || sessions.all[writes[found].session].root == session.root
            guard isOfSession else {
                return "sector \(sector) holds \(found), which session \(read.session) has not "
                    + "written; it began with \(base)"
            }
            if let fault = writes.fault(read.volume, sector, found, floor: max(floor, 1)) {
                return "sector \(sector) \(fault); the session began with \(base)"
            }
        }
        return nil
    }
}
