// SPDX-License-Identifier: Apache-2.0

import CAllocationCounter
import Foundation
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct AllocationTests {
    #if DEBUG
    static let isRelease = false
    #else
    static let isRelease = true
    #endif

    @Test(
        .enabled(if: isRelease, "debug builds allocate in generic code"),
        .enabled(if: allocation_counter_counts(), "a sanitizer has its own malloc"),
        arguments: [IOMode.auto, .buffered]
    )
    func `a warm data path neither allocates nor retains`(_ mode: IOMode) throws {
        let folder = try TemporaryFolder()
        let output = try Program.run(
            Program.own("reactor-allocations"),
            [folder.path, mode.rawValue]
        )
        let lines = output.text.split(separator: "\n")
        #expect(lines == ["requests 20000", "allocations 0", "retains 0"])
        #expect(output.exitCode == 0)
    }
}
