// SPDX-License-Identifier: Apache-2.0

import Configuration
import Engine
import TestSupport
import Testing

/// The options that are called honoured reach the engine, and the others do not.
struct OptionMappingTests {
    @Test("TOOL-04 an option changes what the engine does if, and only if, it is called honoured")
    func everyOption() throws {
        let plainNet = "\(try PeerSettings(try NetOptions([])))"
        let plainDisk = "\(DiskSettings(try DiskOptions([])))"
        for (section, plain) in [(OptionSection.net, plainNet), (.disk, plainDisk)] {
            for entry in OptionTable.all(in: section) where !entry.isRefused {
                let isRead = entry.samples.contains { sample in
                    let mapped = try? Self.mapped(entry, sample)
                    return mapped != nil && mapped != plain
                }
                #expect(isRead == (entry.effect == .honoured), "\(entry.name)")
            }
        }
    }

    @Test
    func `the options that others than these two read are known`() {
        for (section, names) in [
            (OptionSection.resource, ["nbd-listen"]), (.node, ["svc-auto-up", "svc-auto-down"]),
            (.peerDevice, []),
            (.startup, ["wfc-timeout", "wait-after-sb"]), (.handlers, []),
            (
                .proxy,
                ["memlimit", "rx-memlimit", "sndbuf-size", "rcvbuf-size", "ping-timeout"]
            ),
        ] {
            let honoured = OptionTable.all(in: section).filter { $0.effect == .honoured }
            #expect(honoured.map(\.name) == names, "\(section)")
        }
    }

    @Test
    func `disk options that wait for the next attach are named`() throws {
        let before = DiskSettings(try DiskOptions([]))
        let after = DiskSettings(
            try DiskOptions([
                ("al-extents", "67"), ("io-mode", "buffered"), ("size", "1G"),
                ("disk-flushes", "no"), ("md-flushes", "no"),
            ])
        )
        #expect(after.later(than: before) == ["al-extents", "size", "io-mode"])
        let flushes = DiskSettings(try DiskOptions([("disk-flushes", "no"), ("md-flushes", "no")]))
        #expect(flushes.later(than: before) == [])
    }

    private static func mapped(_ entry: OptionDescription, _ sample: String) throws -> String {
        let options = [(name: entry.name, value: sample)]
        return entry.section == .net
            ? "\(try PeerSettings(try NetOptions(options)))"
            : "\(DiskSettings(try DiskOptions(options)))"
    }
}

extension OptionDescription {
    fileprivate var isRefused: Bool {
        if case .refused = self.effect { return true }
        return false
    }
}
