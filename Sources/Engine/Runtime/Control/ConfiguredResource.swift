// SPDX-License-Identifier: Apache-2.0

import Administration

/// What the administrator has configured for one resource, as texts and as they were checked.
struct ConfiguredResource: Sendable {
    let name: String
    let nodeID: Int
    /// The place in the loop's table.
    let index: Int
    var options: [OptionText]
    /// By minor number.
    var volumes: [Int: ConfiguredVolume] = [:]
    var peer: ConfiguredPeer?
}

/// A volume of a resource.
struct ConfiguredVolume: Sendable {
    let number: Int
    let minor: Int
    /// The place in the core's table.
    let index: UInt16
    var diskOptions: [OptionText] = []
    var attached: AttachArguments?
}

/// The peer of a resource: protocol 101 knows one.
struct ConfiguredPeer: Sendable {
    let nodeID: Int
    var options: [OptionText]
    var local: String?
    var remote: String?
    var peerDeviceOptions: [Int: [OptionText]] = [:]

    /// The name in status output: `_name`, or the node id.
    var name: String {
        self.options.last { $0.name == "_name" }?.value ?? "node-\(self.nodeID)"
    }
}

extension [OptionText] {
    /// These options with `changes` put over them.
    func merging(_ changes: [OptionText], setDefaults: Bool) -> [OptionText] {
        guard !setDefaults else { return changes }
        let names = Set(changes.map(\.name))
        return self.filter { !names.contains($0.name) } + changes
    }

    /// The form that the option tables take.
    var pairs: [(name: String, value: String)] { self.map { ($0.name, $0.value) } }
}
