// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

struct NBDExtentListTests {
    private func extents(_ list: NBDExtentList) -> [NBDExtent] { (0..<list.count).map { list[$0] } }

    @Test func `an empty list says data for the whole range`() {
        let list = NBDExtentList(byteCount: 4096)
        #expect(self.extents(list) == [NBDExtent(byteCount: 4096, status: .data)])
    }

    @Test func `neighbours are merged and the rest is cut off`() {
        var list = NBDExtentList(byteCount: 4096)
        for (count, status) in [
            (UInt64(512), NBDAllocation.data), (512, .data), (1024, [.hole, .zero]), (.max, .zero),
        ] {
            let isTaken = list.append(byteCount: count, status: status)
            #expect(isTaken)
        }
        #expect(
            self.extents(list) == [
                NBDExtent(byteCount: 1024, status: .data),
                NBDExtent(byteCount: 1024, status: [.hole, .zero]),
                NBDExtent(byteCount: 2048, status: .zero),
            ]
        )
        #expect(list.isComplete)
        let isTaken = list.append(byteCount: 512, status: .data)
        #expect(isTaken)
        #expect(list.count == 3)
    }

    @Test func `a list for one extent takes more of its status, and nothing else`() {
        var list = NBDExtentList(byteCount: 4096, limit: 1)
        let first = list.append(byteCount: 512, status: .zero)
        let second = list.append(byteCount: 512, status: .zero)
        let third = list.append(byteCount: 512, status: .data)
        #expect([first, second, third] == [true, true, false])
        #expect(self.extents(list) == [NBDExtent(byteCount: 1024, status: .zero)])
        #expect(!list.isComplete)
    }

    @Test func `random extents give the status of each sector, as far as the list reaches`() {
        for seed in UInt64(0)..<2000 {
            var random = SeededRandom(seed: seed)
            let sectors = Int(random.below(300)) + 1
            var list = NBDExtentList(byteCount: UInt32(sectors * 512))
            var model: [NBDAllocation] = []
            var hasRoom = true
            while hasRoom, model.count < sectors {
                let count = Int(random.below(5)) + 1
                let status = NBDAllocation(rawValue: UInt32(random.below(4)))
                hasRoom = list.append(byteCount: UInt64(count * 512), status: status)
                if hasRoom { model += [NBDAllocation](repeating: status, count: count) }
            }
            model = Array(model.prefix(sectors))
            let extents = self.extents(list)
            let told = extents.flatMap {
                [NBDAllocation](repeating: $0.status, count: Int($0.byteCount) / 512)
            }
            #expect(told == model)
            #expect(extents.count <= 64)
            #expect(list.isComplete == (model.count == sectors))
            #expect(zip(extents, extents.dropFirst()).allSatisfy { $0.status != $1.status })
        }
    }
}
