// SPDX-License-Identifier: Apache-2.0

import Administration

/// What a running link is asked on its control socket.
package enum LinkControl: ControlService {
    package typealias Request = LinkRequest
    package typealias Payload = LinkReport

    package static let daemonName = "drxsim"
}

/// A change of a running link, or a question.
package enum LinkRequest: Hashable, Codable, Sendable {
    /// Nothing passes and nothing is closed.
    case cut
    /// Ends a cut; what was held passes.
    case heal
    /// Resets both ends of every connection.
    case reset
    /// Resets one end of every connection; the other, which is kept, never learns.
    case halfOpen(kept: LinkEnd)
    /// As `--rate` takes it.
    case rate(String)
    /// Milliseconds, one way.
    case delay(String)
    /// Milliseconds.
    case jitter(String)
    /// Changes nothing.
    case counters
}

/// An end of a connection that passes through a link.
package enum LinkEnd: String, Hashable, Codable, Sendable, CaseIterable {
    /// Who connected to the link.
    case near
    /// Whom the link connected to.
    case far

    /// The end across.
    var other: Self { self == .near ? .far : .near }
}

/// How a link is and what has passed.
package struct LinkReport: Hashable, Codable, Sendable {
    /// In words, for instance `delay 25 ms, jitter 0 ms, rate 100 Mbit/s`.
    package var settings: String
    /// Whether the link is cut.
    package var isCut: Bool
    /// Connections that exist, half-open ones included.
    package var connections: Int
    package var counters: LinkCounters

    private enum CodingKeys: String, CodingKey {
        case isCut = "cut"
        case settings, connections, counters
    }
}
