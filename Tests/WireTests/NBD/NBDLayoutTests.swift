// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

struct NBDLayoutTests {
    @Test func `the longest reply head is a block status`() { #expect(NBDLimits.replyHeadByteCountMaximum == 536) }
}
