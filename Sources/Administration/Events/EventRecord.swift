// SPDX-License-Identifier: Apache-2.0

/// One line of `events2`.
package struct EventRecord: Sendable, Hashable {
    /// What happened.
    package enum Action: String, Sendable, Hashable {
        case exists
        case create
        case change
        case destroy
        case call
        case response
    }

    /// What it happened to.
    package enum Object: String, Sendable, Hashable {
        case resource
        case device
        case connection
        case peerDevice = "peer-device"
        case path
        case helper
        /// The end of the initial state.
        case end = "-"
    }

    /// When it was noticed.
    package var time: EventTime
    /// What happened.
    package var action: Action
    /// What it happened to.
    package var object: Object
    /// Which object, as keys and values.
    package var identity: [EventField]
    /// What is new, as keys and values.
    package var attributes: [EventField]
}

/// A key and a value of an event.
package struct EventField: Sendable, Hashable {
    /// The key without its colon.
    package var key: String
    /// The value.
    package var value: String
    /// The value before, for `--diff`.
    package var old: String?
    /// The colour on a terminal.
    var highlight: Highlight?

    init(_ key: String, _ value: String, _ highlight: Highlight? = nil) {
        self.key = key
        self.value = value
        self.highlight = highlight
    }

    init(_ key: String, _ value: UInt64) { self.init(key, "\(value)") }

    init(_ key: String, _ value: Int) { self.init(key, "\(value)") }

    init(_ key: String, _ value: Bool) { self.init(key, value.word) }
}
