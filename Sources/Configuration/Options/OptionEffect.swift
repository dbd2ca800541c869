// SPDX-License-Identifier: Apache-2.0

/// What comes of an option that a resource file gives.
package enum OptionEffect: Hashable, Sendable {
    /// The engine, the relay or a tool does what it says.
    case honoured
    /// Whoever sets it would rely on it, and it is not built.
    ///
    /// The default may be written, and the values in `except`, which are what is done anyway. A
    /// default in `ignored` is accepted, though something else is done.
    case refused(except: [String] = [], ignored: [String] = [])
    /// It is accepted, and nothing depends on it yet.
    case withoutEffect
}

extension OptionTable {
    /// Why those of `options` that are not built cannot be used, a sentence for each.
    ///
    /// Options that the section does not know, and values that it refuses, are others' business.
    package static func refusals(
        of options: [(name: String, value: String)],
        in section: OptionSection
    ) -> [String] {
        options.compactMap { name, text in
            guard let entry = Self.find(name, in: section), let value = entry.checked(text),
                case .refused(let except, _) = entry.effect, value != entry.defaultValue,
                !except.contains(where: { entry.checked($0) == value })
            else { return nil }
            let choice = except.first { !$0.isEmpty }.map { "use \($0), or leave it out" }
            return "\(name) \(text) is not supported yet; \(choice ?? "leave it out")"
        }
    }

    /// The names of `options` that are set to something that nothing depends on yet, in order.
    package static func withoutEffect(
        _ options: [(name: String, value: String)],
        in section: OptionSection
    ) -> [String] {
        options.filter { name, text in
            guard let entry = Self.find(name, in: section), let value = entry.checked(text) else {
                return false
            }
            return switch entry.effect {
            case .honoured: false
            case .refused(_, let ignored): ignored.contains { entry.checked($0) == value }
            case .withoutEffect: value != entry.defaultValue
            }
        }.map(\.name)
    }

    /// The sentence that names options without effect; nil if there are none.
    package static func notice(_ names: [String], of resource: String) -> String? {
        var seen: Set<String> = []
        let unique = names.filter { seen.insert($0).inserted }
        guard !unique.isEmpty else { return nil }
        return "resource \(resource): accepted, without effect yet: "
            + unique.joined(separator: ", ")
    }
}

extension OptionDescription {
    /// The checked value of `text`; nil if it is refused.
    fileprivate func checked(_ text: String) -> OptionValue? {
        do throws(OptionError) { return try self.value(of: text) } catch { return nil }
    }
}
