// SPDX-License-Identifier: Apache-2.0

/// The least commands that turn what the engine runs into what the file says.
package struct AdjustPlan {
    private let target: Target
    private let running: RunningResource?
    private let withDisks: Bool
    private let withNet: Bool
    private var commands: [BackendCommand] = []
    /// Volumes that are removed and created again, and so lose their peer-device options.
    private var recreated: Set<Int> = []

    /// The commands for `target`, of which the engine has `running`, or nothing.
    ///
    /// `options` may hold `skip-disk` and `skip-net`.
    package static func commands(
        _ target: Target,
        running: RunningResource?,
        _ options: [BackendOption] = []
    ) -> [BackendCommand] {
        var plan = AdjustPlan(
            target: target,
            running: running,
            withDisks: !options.contains { $0.name == "skip-disk" },
            withNet: !options.contains { $0.name == "skip-net" }
        )
        plan.build()
        return plan.commands
    }

    private init(target: Target, running: RunningResource?, withDisks: Bool, withNet: Bool) {
        self.target = target
        self.running = running
        self.withDisks = withDisks
        self.withNet = withNet
    }

    private var name: String { self.target.view.resource.name }

    private mutating func build() {
        guard let running = self.running else {
            self.commands = UpPlan(
                target: self.target,
                setsDefaults: true,
                withDisks: self.withDisks,
                withNet: self.withNet
            ).commands()
            return
        }
        let options = self.target.view.resource.sections.options
        if Self.differ(options, running.options, .resource) {
            self.add(
                ["resource-options", self.name, "--set-defaults"] + UpPlan.words(options),
                .resourceOptions
            )
        }
        self.adjustVolumes(running)
        if self.withNet { self.adjustPeers(running) }
    }

    private mutating func add(
        _ words: [String],
        _ stage: BackendCommand.Stage,
        _ condition: BackendCommand.Condition = .always
    ) {
        self.commands.append(
            BackendCommand(
                tool: .setup,
                arguments: words,
                resource: self.name,
                stage: stage,
                condition: condition
            )
        )
    }

    /// True if any option of the table has another value, a missing one counting as its default.
    private static func differ(
        _ wanted: OptionList,
        _ running: OptionList,
        _ section: OptionSection,
        except names: Set<String> = []
    ) -> Bool {
        OptionTable.all(in: section).contains { entry in
            if names.contains(entry.name) { return false }
            return Self.value(entry, wanted) != Self.value(entry, running)
        }
    }

    private static func value(_ entry: OptionDescription, _ list: OptionList) -> OptionValue {
        guard let text = list[entry.name] else { return entry.defaultValue }
        do throws(OptionError) {
            return try entry.value(of: text)
        } catch {
            return .word(text)
        }
    }

    // MARK: Volumes

    private mutating func adjustVolumes(_ running: RunningResource) {
        let wanted = self.target.volumes
        let selected = self.target.volume
        let numbers = Set(wanted.map(\.number)).union(
            running.volumes.map(\.number).filter { selected == nil || $0 == selected }
        )
        for number in numbers.sorted() {
            let volume = wanted.first { $0.number == number }
            let old = running.volumes.first { $0.number == number }
            switch (volume, old) {
            case (let volume?, nil): self.create(volume)
            case (nil, let old?): self.remove(old)
            case (let volume?, let old?): self.adjust(volume, old)
            case (nil, nil): break
            }
        }
    }

    private mutating func create(_ volume: LocalVolume) {
        self.commands.append(UpPlan.newMinor(volume, of: self.name, [], stage: .newMinor))
        self.attach(volume)
    }

    private mutating func attach(_ volume: LocalVolume) {
        if self.withDisks { self.commands += UpPlan.attach(volume, of: self.name) }
    }

    private mutating func detach(_ old: RunningResource.RunningVolume) {
        self.add(["detach", "--diskless", String(old.minor)], .diskDown)
    }

    private mutating func remove(_ old: RunningResource.RunningVolume) {
        if !self.withDisks { return }
        if old.isAttached { self.detach(old) }
        self.add(["del-minor", String(old.minor)], .diskDown)
    }

    private mutating func adjust(_ volume: LocalVolume, _ old: RunningResource.RunningVolume) {
        if !self.withDisks { return }
        if old.minor != volume.minor {
            self.remove(old)
            self.create(volume)
            self.recreated.insert(volume.number)
            return
        }
        guard let backing = volume.backing else {
            if old.isAttached { self.detach(old) }
            return
        }
        guard old.isAttached else {
            self.attach(volume)
            return
        }
        guard backing == Self.backing(of: old) else {
            self.detach(old)
            self.attach(volume)
            return
        }
        self.adjustOptions(of: volume, old)
    }

    private mutating func adjustOptions(
        of volume: LocalVolume,
        _ old: RunningResource.RunningVolume
    ) {
        let minor = String(volume.minor)
        if Self.differ(volume.diskOptions, old.diskOptions, .disk, except: ["size"]) {
            var options = volume.diskOptions
            options.settings.removeAll { $0.name == "size" }
            self.add(["disk-options", minor, "--set-defaults"] + UpPlan.words(options), .disk)
        }
        guard let size = OptionTable.find("size", in: .disk) else { return }
        if Self.value(size, volume.diskOptions) != Self.value(size, old.diskOptions) {
            let words = volume.diskOptions["size"].map { ["--size=\($0)"] } ?? []
            self.add(["resize", minor] + words, .disk)
            self.add(["check-resize", minor], .disk, .afterSuccess)
        }
    }

    private static func backing(of old: RunningResource.RunningVolume) -> LocalVolume.Backing? {
        guard case .path(let disk) = old.disk else { return nil }
        return switch old.metaDisk {
        case .internal, nil: .init(disk: disk, metaDisk: disk, index: .internal)
        case .flexible(let path): .init(disk: disk, metaDisk: path, index: .flexible)
        case .indexed(let path, let index): .init(disk: disk, metaDisk: path, index: .slot(index))
        }
    }

    // MARK: Peers

    private mutating func adjustPeers(_ running: RunningResource) {
        if self.target.peer == nil {
            let wanted = Set(self.target.view.peers.map(\.nodeID))
            for old in running.connections where !wanted.contains(old.peerNodeID) {
                self.add(["del-peer", self.name, String(old.peerNodeID)], .netDown)
            }
        }
        for peer in self.target.peers {
            let old = running.connections.first { $0.peerNodeID == peer.nodeID }
            guard let old, Self.transport(peer.net) == Self.transport(old.net) else {
                if old != nil {
                    self.add(["del-peer", self.name, String(peer.nodeID)], .netDown)
                }
                let plan = UpPlan(target: self.target, setsDefaults: true)
                self.commands += plan.netCommands(peer)
                continue
            }
            self.adjust(peer, old)
        }
    }

    private static func transport(_ net: OptionList) -> String {
        net["transport"].flatMap { $0.isEmpty ? nil : $0 } ?? "tcp"
    }

    private mutating func adjust(
        _ peer: PeerView,
        _ old: RunningResource.RunningConnection
    ) {
        let id = String(peer.nodeID)
        let stale = old.routes.filter { !peer.routes.contains($0) }
        let new = peer.routes.filter { !old.routes.contains($0) }
        let losesAll = !stale.isEmpty && stale.count == old.routes.count
        if losesAll, !old.isStandalone { self.add(["disconnect", self.name, id], .disconnect) }
        for (routes, verb, stage) in [
            (stale, "del-path", BackendCommand.Stage.netDown), (new, "new-path", .newPath),
        ] {
            for route in routes {
                let words = [route.local.argument, route.remote.argument]
                self.add([verb, self.name, id] + words, stage)
            }
        }
        if Self.differ(peer.net, old.net, .net, except: ["transport"]) {
            var net = peer.net
            net.settings.removeAll { $0.name == "transport" }
            self.add(
                ["net-options", self.name, id, "--set-defaults"] + UpPlan.words(net),
                .netOptions
            )
        }
        for device in peer.peerDevices {
            let isNew = self.recreated.contains(device.number)
            let options = isNew ? nil : old.peerDevices[device.number]
            guard Self.differ(device.options, options ?? OptionList(), .peerDevice) else {
                continue
            }
            self.commands.append(
                UpPlan.peerDeviceOptions(device, peer, of: self.name, true)
            )
        }
        if losesAll || old.isStandalone { self.add(["connect", self.name, id], .connect) }
    }
}
