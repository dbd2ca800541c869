// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import TestSupport
import Testing

/// `show` prints options in a form that `adjust` reads back.
struct ShownOptionTests {
    @Test("TOOL-27 show of every option with any value parses back to the same value")
    func everyOption() throws {
        for section in [OptionSection.resource, .disk, .peerDevice, .net] {
            for entry in OptionTable.all(in: section) {
                for sample in entry.samples {
                    let text = ConfigurationText.render([
                        Self.resource([ShownOption(entry.name, sample)], in: section)
                    ])
                    let parsed = try RunningStateParser.parse(Array(text.utf8))
                    let list = try #require(Self.options(of: parsed, in: section), "\(text)")
                    #expect(list.settings.count == 1, "\(text)")
                    #expect(list[entry.name] == sample, "\(text)")
                }
            }
        }
    }

    @Test
    func `a plain word stays without quotes, as with drbdsetup`() {
        let resource = Self.resource([ShownOption("max-buffers", "8k")], in: .net)
        #expect(ConfigurationText.render([resource]).contains("\t8k;"))
    }

    @Test
    func `a text of two lines, which show could not say, is refused`() throws {
        let secret = try #require(OptionTable.find("shared-secret", in: .net))
        #expect(throws: OptionError.self) { try secret.value(of: "a\nb") }
        #expect(throws: OptionError.self) { try secret.value(of: "a\r\nb") }
    }

    private static func resource(_ options: [ShownOption], in section: OptionSection)
        -> ResourceConfiguration
    {
        var resource = ResourceConfiguration(name: "r 0", nodeID: 0)
        var connection = ConnectionConfiguration(peerNodeID: 1)
        var diskOptions: [ShownOption] = []
        switch section {
        case .resource: resource.options = options
        case .disk: diskOptions = options
        case .peerDevice: connection.volumes[0] = options
        case .net, .node, .startup, .handlers, .proxy: connection.options = options
        }
        resource.volumes = [
            VolumeConfiguration(
                volume: 0,
                minor: 1,
                backing: .disk(path: "/a b", metaDisk: .internal, options: diskOptions)
            )
        ]
        resource.connections = [connection]
        return resource
    }

    private static func options(of parsed: [RunningResource], in section: OptionSection)
        -> OptionList?
    {
        guard let resource = parsed.first, resource.name == "r 0" else { return nil }
        return switch section {
        case .resource: resource.options
        case .disk: resource.volumes.first?.diskOptions
        case .peerDevice: resource.connections.first?.peerDevices[0]
        case .net, .node, .startup, .handlers, .proxy: resource.connections.first?.net
        }
    }
}
