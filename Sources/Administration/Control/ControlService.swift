// SPDX-License-Identifier: Apache-2.0

/// What one kind of daemon is asked and what it answers on its control socket.
///
/// The protocol is the same for all: a unix stream socket on which a client writes requests, one
/// JSON value a line, and reads replies (``ControlReply``), one JSON object a line. A request has
/// any number of replies, the last of them marked. The next request may follow on the same
/// connection.
package protocol ControlService: Sendable {
    /// A verb with its arguments.
    associatedtype Request: Codable & Sendable
    /// What a reply carries.
    associatedtype Payload: Codable & Sendable

    /// The daemon's name; its socket is `<run-dir>/<name>.sock`.
    static var daemonName: String { get }
}

extension ControlService {
    /// The path of the daemon's control socket.
    package static func socketPath(inRunDirectory directory: String) -> String {
        directory + (directory.hasSuffix("/") ? "" : "/") + self.daemonName + ".sock"
    }
}

/// One line of a daemon's answer.
package struct ControlReply<Payload: Codable & Sendable>: Codable, Sendable {
    /// Whether the answer ends with this line.
    package var isLast: Bool
    /// How the request went; only meaningful in the last line.
    package var code: ControlCode
    /// Explanations, one sentence each.
    package var texts: [String]
    /// What was asked for.
    package var payload: Payload?

    private enum CodingKeys: String, CodingKey {
        case isLast = "last"
        case code, texts, payload
    }

    /// A line that ends the answer.
    package static func last(
        _ code: ControlCode = .success,
        _ texts: [String] = [],
        payload: Payload? = nil
    ) -> Self {
        Self(isLast: true, code: code, texts: texts, payload: payload)
    }

    /// A line after which others follow.
    package static func item(_ payload: Payload) -> Self {
        Self(isLast: false, code: .success, texts: [], payload: payload)
    }
}

/// How a request went: 0 for success, a number of 101 and above for a refused configuration
/// (``FailureCode``), a negative one for a refused state change, else an exit code.
package struct ControlCode: RawRepresentable, Hashable, Codable, Sendable {
    package let rawValue: Int32

    /// Creates a code from its number.
    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// It was done, or nothing was to be done.
    package static let success = Self(rawValue: 0)
    /// It was refused; the texts say why.
    package static let refused = Self(rawValue: 10)
    /// It could not be understood or failed for a reason that is not the caller's.
    package static let failed = Self(rawValue: 20)
}
