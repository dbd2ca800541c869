// SPDX-License-Identifier: Apache-2.0

/// Which version of bsr this is.
package enum Release {
    /// The version's number.
    package static let number = "0.1.0"

    /// What `program --version` prints: `bsrd (bsr) 0.1.0`.
    package static func line(_ program: String) -> String { "\(program) (bsr) \(Self.number)" }
}
