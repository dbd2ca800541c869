// SPDX-License-Identifier: Apache-2.0

import Foundation
import Simulation

/// A run as JSON.
struct Summary: Encodable {
    private let seeds: SeedSet
    private let violations: [RunRecord.Violation]
    private let coverage: CoverageReport

    init(_ record: RunRecord, _ coverage: CoverageReport) {
        self.seeds = record.done
        self.violations = record.violations
        self.coverage = coverage
    }

    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}
