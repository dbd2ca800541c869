// SPDX-License-Identifier: Apache-2.0

/// One option of a section, checked against the table.
package struct OptionSetting: Hashable, Sendable {
    /// Where a setting comes from.
    package enum Origin: Hashable, Sendable {
        /// It stands in this very section.
        case written
        /// It stands in a section that this one inherits from.
        case inherited
    }

    /// The option's name.
    package var name: String
    /// The value as written.
    package var value: String
    /// Where it was written.
    package var position: SourcePosition
    /// Whether this section has it by itself.
    package var origin: Origin

    /// Creates a setting.
    package init(
        _ name: String,
        _ value: String,
        at position: SourcePosition,
        origin: Origin = .written
    ) {
        self.name = name
        self.value = value
        self.position = position
        self.origin = origin
    }
}

/// The options of one section in order; a name occurs once.
package struct OptionList: Hashable, Sendable {
    /// The settings in order.
    package var settings: [OptionSetting] = []

    /// A list of `settings`.
    package init(_ settings: [OptionSetting] = []) { self.settings = settings }

    /// The value of `name` as written or inherited.
    package subscript(name: String) -> String? {
        self.settings.first { $0.name == name }?.value
    }

    /// True if there is no setting.
    package var isEmpty: Bool { self.settings.isEmpty }

    /// The settings as the typed option structs take them.
    package var pairs: [(name: String, value: String)] {
        self.settings.map { (name: $0.name, value: $0.value) }
    }

    /// Takes over every setting of `parent` that this list lacks, each put in front.
    ///
    /// The order is the one in which the field's tools pass inherited options on.
    ///
    /// - Throws: `AmbiguousInheritance` if two parents want different values.
    mutating func inherit(_ parent: OptionList) throws(AmbiguousInheritance) {
        for setting in parent.settings {
            if let own = self.settings.first(where: { $0.name == setting.name }) {
                if own.origin == .inherited, own.value != setting.value {
                    throw AmbiguousInheritance(name: own.name, first: own, second: setting)
                }
                continue
            }
            var inherited = setting
            inherited.origin = .inherited
            self.settings.insert(inherited, at: 0)
        }
    }

    /// The list with every setting counted as written here, so that it wins over further parents.
    func asWritten() -> OptionList {
        var copy = self
        for index in copy.settings.indices { copy.settings[index].origin = .written }
        return copy
    }
}

/// Two sections from which one inherits want different values.
struct AmbiguousInheritance: Error {
    var name: String
    var first: OptionSetting
    var second: OptionSetting

    /// The sentence for the administrator.
    func message(in resource: String) -> String {
        "in resource \(resource), ambiguous inheritance for option \"\(self.name)\".\n"
            + "should be \"\(self.second.value)\" (\(self.second.position)) and "
            + "\"\(self.first.value)\" (\(self.first.position)) at the same time"
    }
}
