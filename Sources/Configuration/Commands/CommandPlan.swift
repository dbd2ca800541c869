// SPDX-License-Identifier: Apache-2.0

/// Turns a verb, its target and the options of the command line into backend commands.
package struct CommandPlan {
    private let verb: Verb
    private let target: Target
    private let options: [BackendOption]

    private init(_ verb: Verb, _ target: Target, _ options: [BackendOption]) {
        self.verb = verb
        self.target = target
        self.options = options
    }

    /// The commands of `verb` for `target`.
    ///
    /// - Throws: `UsageError` if the verb does not apply to it.
    package static func commands(
        _ verb: Verb,
        _ target: Target,
        _ options: [BackendOption]
    ) throws(UsageError) -> [BackendCommand] {
        let plan = CommandPlan(verb, target, options)
        switch verb.scope {
        case .resource: return plan.resourceCommands()
        case .volumes: return try plan.volumeCommands()
        case .peers: return plan.peerCommands()
        case .peerDevices: return try plan.peerDeviceCommands()
        case .configuration: return []
        }
    }

    private var view: NodeView { self.target.view }
    private var name: String { self.view.resource.name }

    private func setup(_ words: [String], _ list: OptionList = OptionList()) -> BackendCommand {
        BackendCommand(
            tool: .setup,
            arguments: words + self.merged(list),
            resource: self.name
        )
    }

    /// Configured options without those that the command line gives, then these.
    private func merged(_ list: OptionList) -> [String] {
        let given = Set(self.options.map(\.name))
        let configured = list.settings.filter { !given.contains($0.name) }
        return configured.map { "--\($0.name)=\($0.value)" } + self.options.map(\.word)
    }

    // MARK: Whole resources

    private func resourceCommands() -> [BackendCommand] {
        let words = [self.verb.rawValue, self.name]
        let options = self.view.resource.sections.options
        switch self.verb {
        case .up: return UpPlan(target: self.target).commands()
        case .newResource: return [self.setup(words + [String(self.view.nodeID)], options)]
        case .waitConnect, .waitSync: return self.waitCommands()
        default: return [self.setup(words)]
        }
    }

    private func waitCommands() -> [BackendCommand] {
        let startup = self.view.resource.sections.startup
        let verb = self.verb.rawValue
        guard let peer = self.target.peer.map({ String(self.view.peers[$0].nodeID) }) else {
            return [self.setup(["\(verb)-resource", self.name], startup)]
        }
        guard let volume = self.target.volume else {
            return [self.setup(["\(verb)-connection", self.name, peer], startup)]
        }
        return [self.setup(["\(verb)-volume", self.name, peer, String(volume)], startup)]
    }

    // MARK: Volumes

    private func volumeCommands() throws(UsageError) -> [BackendCommand] {
        if self.verb == .newCurrentUUID, self.target.volume == nil {
            throw UsageError(
                "new-current-uuid requires a specific volume id, but none is specified.\n"
                    + "Try 'new-current-uuid minor-<minor_number>' or "
                    + "'new-current-uuid \(self.name)/<vnr>'"
            )
        }
        var commands: [BackendCommand] = []
        for volume in self.target.volumes {
            if self.verb.needsDisk, volume.backing == nil {
                if self.target.volume != nil { throw self.needsDisk }
                continue
            }
            commands += self.volumeCommands(volume)
        }
        return commands
    }

    private var needsDisk: UsageError {
        UsageError(
            "The \(self.verb.rawValue) command requires a local disk, but the configuration "
                + "gives none.",
            exitCode: 10
        )
    }

    private func volumeCommands(_ volume: LocalVolume) -> [BackendCommand] {
        let minor = String(volume.minor)
        let verb = self.verb.rawValue
        switch self.verb {
        case .attach: return self.attach(volume)
        case .newMinor:
            return [UpPlan.newMinor(volume, of: self.name, self.options.map(\.word))]
        case .diskOptions: return [self.setup([verb, minor], volume.diskOptions)]
        case .resize, .checkResize:
            let size = volume.diskOptions["size"].map { ["--size=\($0)"] } ?? []
            let resize = self.setup(["resize", minor] + size)
            var check = self.setup([])
            check.arguments = ["check-resize", minor]
            check.condition = .afterSuccess
            return [resize, check]
        case .createMetaData: return self.createMetaData(volume)
        case .dumpMetaData, .wipeMetaData, .applyActivityLog:
            return self.metaData(volume, [verb] + self.options.map(\.word))
        case .outdate:
            return [self.setup([verb, self.name, minor])] + self.fallback(volume, [verb])
        case .invalidate, .diskState:
            return [self.setup([verb, minor])] + self.fallback(volume, [verb])
        default: return [self.setup([verb, minor])]
        }
    }

    private func attach(_ volume: LocalVolume) -> [BackendCommand] {
        guard let backing = volume.backing else { return [] }
        var attach = self.setup(
            [
                "attach", String(volume.minor), backing.disk, backing.metaDisk,
                backing.index.engineWord,
            ],
            volume.diskOptions
        )
        attach.condition = .afterSuccess
        return self.metaData(volume, ["apply-al"]) + [attach]
    }

    /// The commands of `attach` without the metadata tool's for volumes that have their disk.
    ///
    /// The engine says what is wrong with attaching those; the tool would only find its lock.
    package static func leavingAttached(
        _ commands: [BackendCommand],
        hasDisk: (_ minor: String) -> Bool
    ) -> [BackendCommand] {
        var result: [BackendCommand] = []
        for var command in commands {
            let isAttach = command.tool == .setup && command.arguments.first == "attach"
            if isAttach, command.arguments.count > 1, hasDisk(command.arguments[1]) {
                if result.last?.tool == .metaData { result.removeLast() }
                command.condition = .always
            }
            result.append(command)
        }
        return result
    }

    private func metaData(_ volume: LocalVolume, _ words: [String]) -> [BackendCommand] {
        UpPlan.metaData(volume, of: self.name, words).map { [$0] } ?? []
    }

    /// The metadata tool's half of a command that the engine does for an attached disk.
    private func fallback(_ volume: LocalVolume, _ words: [String]) -> [BackendCommand] {
        var commands = self.metaData(volume, words)
        for index in commands.indices { commands[index].condition = .insteadOfFailure }
        return commands
    }

    private func createMetaData(_ volume: LocalVolume) -> [BackendCommand] {
        let given = self.options.first { $0.name == "max-peers" }?.value
        let peers = String(max(1, self.view.peers.filter(\.hasDisk).count))
        let rest = self.options.filter { $0.name != "max-peers" }.map(\.word)
        return self.metaData(volume, ["create-md", given ?? peers] + rest)
    }

    // MARK: Peers

    private func peerCommands() -> [BackendCommand] {
        self.target.peers.flatMap { peer in
            let words = [self.verb.rawValue, self.name, String(peer.nodeID)]
            switch self.verb {
            case .newPeer: return [self.setup(words, peer.net)]
            case .netOptions:
                var net = peer.net
                net.settings.removeAll { $0.name == "transport" }
                return [self.setup(words, net)]
            case .newPath, .deletePath:
                return peer.routes.map { route in
                    self.setup(words + [route.local.argument, route.remote.argument])
                }
            case .forgetPeer:
                let volumes = self.view.volumes.flatMap { volume in
                    self.metaData(volume, ["--node-id=\(peer.nodeID)", "forget-peer"])
                }
                return [self.setup(words)] + volumes
            default: return [self.setup(words)]
            }
        }
    }

    private func peerDeviceCommands() throws(UsageError) -> [BackendCommand] {
        var commands: [BackendCommand] = []
        for volume in self.target.volumes {
            if self.verb.needsDisk, volume.backing == nil {
                if self.target.volume != nil { throw self.needsDisk }
                continue
            }
            for peer in self.target.peers {
                let words = [
                    self.verb.rawValue, self.name, String(peer.nodeID), String(volume.number),
                ]
                switch self.verb {
                case .peerDeviceOptions:
                    let device = peer.peerDevices.first { $0.number == volume.number }
                    commands.append(self.setup(words, device?.options ?? OptionList()))
                case .getGeneration, .showGeneration:
                    commands.append(self.setup(words))
                    let node = "--node-id=\(peer.nodeID)"
                    commands += self.fallback(volume, [node, self.verb.rawValue])
                default: commands.append(self.setup(words))
                }
            }
        }
        return commands
    }
}
