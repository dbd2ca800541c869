// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

/// `bsr.conf.5` against the table of options.
struct ConfigurationPageTests {
    private static let titles: [(title: String, sections: [OptionSection])] = [
        ("options of a resource", [.resource]), ("options of a host", [.node]),
        ("disk", [.disk, .peerDevice]), ("net", [.net]), ("startup", [.startup]),
        ("handlers", [.handlers]), ("proxy", [.proxy]),
    ]

    @Test(arguments: titles.indices)
    func `a section's options are those that are accepted`(index: Int) throws {
        let (title, sections) = Self.titles[index]
        let page = try ManualPage("bsr.conf.5")
        let items = page.sections.filter { $0.title == title }.flatMap(\.items)
        let explained = items.compactMap(\.head.first)
        let accepted = sections.flatMap { OptionTable.all(in: $0) }.map(\.name)
            .filter { !$0.hasPrefix("_") }
        #expect(accepted.count > 2)
        #expect(Set(explained) == Set(accepted))
        #expect(explained.count == accepted.count)
    }

    @Test func `every section of options is on the page`() {
        #expect(Set(Self.titles.flatMap(\.sections)) == Set(OptionSection.allCases))
    }

    @Test(arguments: titles.indices)
    func `an option's values and its default are told`(index: Int) throws {
        let (title, sections) = Self.titles[index]
        guard sections != [.handlers] else { return }
        let page = try ManualPage("bsr.conf.5")
        let items = page.sections.filter { $0.title == title }.flatMap(\.items)
        for entry in sections.flatMap({ OptionTable.all(in: $0) }) {
            guard let item = items.first(where: { $0.head.first == entry.name }) else { continue }
            let value = item.text.split(separator: "Value: ").last.map(String.init) ?? ""
            let standard = entry.defaultText.isEmpty ? "none" : entry.defaultText
            #expect(value.contains("default \(standard)."), "\(entry.name): \(value)")
            for word in Self.words(of: entry.type) {
                #expect(value.contains(word), "\(entry.name) lacks \(word): \(value)")
            }
        }
    }

    @Test func `what comes of an option is told as it is`() throws {
        let page = try ManualPage("bsr.conf.5")
        for (title, sections) in Self.titles where sections != [.handlers] {
            let items = page.sections.filter { $0.title == title }.flatMap(\.items)
            for entry in sections.flatMap({ OptionTable.all(in: $0) }) {
                guard let item = items.first(where: { $0.head.first == entry.name }) else {
                    continue
                }
                let saysRefused = item.text.contains("efuse")
                let saysNothing = item.text.contains("No effect")
                switch entry.effect {
                case .honoured: #expect(!saysNothing, "\(entry.name)")
                case .refused: #expect(saysRefused, "\(entry.name)")
                case .withoutEffect: #expect(saysNothing && !saysRefused, "\(entry.name)")
                }
            }
        }
    }

    /// What the page must say of a type's values.
    private static func words(of type: OptionType) -> [String] {
        switch type {
        case .number(let range, let unit):
            ["\(range.lowerBound) to \(range.upperBound)"]
                + (unit == .sectors ? ["sectors"] : unit == .kibibytes ? ["KiB"] : [])
        case .clamped(let range), .ratio(let range):
            ["\(range.lowerBound) to \(range.upperBound)"]
        case .boolean: ["yes or no"]
        case .choice(let words), .caselessChoice(let words): words
        case .numberOrChoice(let range, let words):
            ["\(range.lowerBound) to \(range.upperBound)"] + words
        case .text(let maximum): ["at most \(maximum) bytes"]
        case .volumeReference: ["-1 for none"]
        case .socketAddress: ["address", "port"]
        }
    }
}
