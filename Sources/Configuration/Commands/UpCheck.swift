// SPDX-License-Identifier: Apache-2.0

extension NodeView {
    /// Why the engine would not bring the resource up on this node, all reasons; none if nothing
    /// speaks against it.
    ///
    /// `up` and `adjust` look before they change anything. The engine refuses the same options by
    /// itself, those of the node excepted, which it never sees.
    package var refusals: [String] {
        var problems: [String] = []
        for (section, list) in self.optionLists {
            for problem in list.refusals(in: section) where !problems.contains(problem) {
                problems.append(problem)
            }
        }
        if self.peers.count > 1 {
            let names = self.peers.map { $0.names.first ?? "node \($0.nodeID)" }
            problems.append(
                "it has \(self.peers.count) peers (\(names.joined(separator: ", "))); a resource "
                    + "of more than two nodes is not supported yet"
            )
        }
        if let peer = self.peers.first(where: { $0.routes.count > 1 }) {
            problems.append(
                "the connection to \(peer.names.first ?? "node \(peer.nodeID)") has "
                    + "\(peer.routes.count) paths; more than one is not supported yet"
            )
        }
        return problems
    }

    /// The names of the options that are set to something that nothing depends on yet.
    ///
    /// Options of a resource that stand in the host's section do not reach the engine.
    package var optionsWithoutEffect: [String] {
        let names = self.optionLists.flatMap { section, list in
            OptionTable.withoutEffect(list.pairs, in: section)
        }
        return names
            + self.host.options.settings.map(\.name).filter {
                OptionTable.find($0, in: .resource) != nil
            }
    }

    /// Everything that is set for this node, by section.
    private var optionLists: [(OptionSection, OptionList)] {
        let sections = self.resource.sections
        var lists: [(OptionSection, OptionList)] = [
            (.resource, sections.options), (.node, self.host.options),
        ]
        for volume in self.volumes where volume.backing != nil {
            lists.append((.disk, volume.diskOptions))
        }
        for peer in self.peers {
            lists.append((.net, peer.net))
            lists += peer.peerDevices.map { (.peerDevice, $0.options) }
        }
        return lists + [(.startup, sections.startup), (.handlers, sections.handlers)]
    }
}

extension Target {
    /// Why the engine would refuse to `invalidate` with `options`; nil if nothing speaks against
    /// it.
    ///
    /// The metadata of a volume that is not attached is not to be invalidated then either.
    package func refusalToInvalidate(_ options: [BackendOption]) -> String? {
        for option in options {
            switch (option.name, option.value) {
            case ("reset-bitmap", "no"):
                return "--reset-bitmap=no is not supported: everything is copied; leave it out"
            case ("sync-from-peer-node-id", let id?)
            where id != "-1" && !self.peers.contains(where: { String($0.nodeID) == id }):
                let peers = self.peers.map { String($0.nodeID) }.joined(separator: ", ")
                return "no peer has node id \(id); known: \(peers)"
            default: continue
            }
        }
        return nil
    }
}

extension RelayConnection {
    /// Why the relay would not bring the connection up, all reasons; none if nothing speaks
    /// against it.
    package var refusals: [String] {
        self.settings.options.refusals(in: .proxy)
            + self.settings.plugins.compactMap { line in
                guard line.words.first == "crypto" else { return nil }
                return line.words.joined(separator: " ")
                    + " is not supported yet; leave it out (\(line.position))"
            }
    }
}

extension OptionList {
    /// Why those of the settings that are not built cannot be used, and where each stands.
    fileprivate func refusals(in section: OptionSection) -> [String] {
        self.settings.flatMap { setting in
            OptionTable.refusals(of: [(setting.name, setting.value)], in: section)
                .map { "\($0) (\(setting.position))" }
        }
    }
}
