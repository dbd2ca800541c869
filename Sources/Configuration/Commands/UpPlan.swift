// SPDX-License-Identifier: Apache-2.0

/// The commands that create a resource which the engine does not have.
struct UpPlan {
    let target: Target
    /// True under `adjust`: peer-device options replace all others.
    var setsDefaults = false
    var withDisks = true
    var withNet = true

    private var view: NodeView { self.target.view }
    private var name: String { self.view.resource.name }

    func commands() -> [BackendCommand] {
        var commands = [self.newResource()]
        for volume in self.target.volumes {
            commands.append(Self.newMinor(volume, of: self.name, [], stage: .newMinor))
        }
        if self.withNet {
            for peer in self.target.peers { commands += self.netCommands(peer) }
        }
        if self.withDisks {
            for volume in self.target.volumes { commands += Self.attach(volume, of: self.name) }
        }
        return commands
    }

    private func newResource() -> BackendCommand {
        BackendCommand(
            tool: .setup,
            arguments: ["new-resource", self.name, String(self.view.nodeID)]
                + Self.words(self.view.resource.sections.options),
            resource: self.name,
            stage: .prerequisites
        )
    }

    /// `new-peer`, `new-path`, `peer-device-options` and `connect` of one peer.
    func netCommands(_ peer: PeerView) -> [BackendCommand] {
        let id = String(peer.nodeID)
        var commands = [
            self.command(["new-peer", self.name, id] + Self.words(peer.net), .netUp)
        ]
        for route in peer.routes {
            let words = [route.local.argument, route.remote.argument]
            commands.append(self.command(["new-path", self.name, id] + words, .newPath))
        }
        var devices = peer.peerDevices
        if self.setsDefaults { devices.sort { $0.number < $1.number } }
        for device in devices where !device.options.isEmpty {
            commands.append(
                Self.peerDeviceOptions(device, peer, of: self.name, self.setsDefaults)
            )
        }
        commands.append(self.command(["connect", self.name, id], .connect))
        return commands
    }

    private func command(_ words: [String], _ stage: BackendCommand.Stage) -> BackendCommand {
        BackendCommand(tool: .setup, arguments: words, resource: self.name, stage: stage)
    }

    // MARK: Pieces that adjust needs too

    static func words(_ list: OptionList) -> [String] {
        list.settings.map { "--\($0.name)=\($0.value)" }
    }

    static func newMinor(
        _ volume: LocalVolume,
        of resource: String,
        _ options: [String],
        stage: BackendCommand.Stage? = nil
    ) -> BackendCommand {
        let isDiskless = volume.backing == nil && !options.contains("--diskless")
        return BackendCommand(
            tool: .setup,
            arguments: ["new-minor", resource, String(volume.minor), String(volume.number)]
                + (isDiskless ? ["--diskless"] : []) + options,
            resource: resource,
            stage: stage
        )
    }

    static func metaData(_ volume: LocalVolume, of resource: String, _ words: [String])
        -> BackendCommand?
    {
        guard let backing = volume.backing else { return nil }
        return BackendCommand(
            tool: .metaData,
            arguments: [
                String(volume.minor), "v09", backing.metaDisk, backing.index.metaDataToolWord,
            ] + words,
            resource: resource
        )
    }

    static func attach(_ volume: LocalVolume, of resource: String) -> [BackendCommand] {
        guard let backing = volume.backing,
            var apply = Self.metaData(volume, of: resource, ["apply-al"])
        else { return [] }
        apply.stage = .disk
        let attach = BackendCommand(
            tool: .setup,
            arguments: [
                "attach", String(volume.minor), backing.disk, backing.metaDisk,
                backing.index.engineWord,
            ] + Self.words(volume.diskOptions),
            resource: resource,
            stage: .disk,
            condition: .afterSuccess
        )
        return [apply, attach]
    }

    static func peerDeviceOptions(
        _ device: PeerDevice,
        _ peer: PeerView,
        of resource: String,
        _ setsDefaults: Bool
    ) -> BackendCommand {
        BackendCommand(
            tool: .setup,
            arguments: [
                "peer-device-options", resource, String(peer.nodeID), String(device.number),
            ] + (setsDefaults ? ["--set-defaults"] : []) + Self.words(device.options),
            resource: resource,
            stage: .peerDeviceOptions
        )
    }
}
