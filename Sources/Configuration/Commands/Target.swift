// SPDX-License-Identifier: Apache-2.0

/// Why a command line is refused; the exit code is 1 unless it says otherwise.
package struct UsageError: Error, Hashable, Sendable {
    /// What is wrong.
    package var message: String
    /// The exit code.
    package var exitCode: Int32

    /// Creates a refusal.
    package init(_ message: String, exitCode: Int32 = 1) {
        self.message = message
        self.exitCode = exitCode
    }
}

/// What a command is applied to: a resource on this node, or a part of it.
package struct Target: Sendable {
    /// The resource seen from this node.
    package var view: NodeView
    /// The volume, if one was named.
    package var volume: Int?
    /// The index into the view's peers, if one was named.
    package var peer: Int?

    /// Creates a target.
    package init(view: NodeView, volume: Int? = nil, peer: Int? = nil) {
        self.view = view
        self.volume = volume
        self.peer = peer
    }

    /// The selected volumes.
    package var volumes: [LocalVolume] {
        self.view.volumes.filter { self.volume == nil || $0.number == self.volume }
    }

    /// The selected peers.
    package var peers: [PeerView] {
        self.peer.map { [self.view.peers[$0]] } ?? self.view.peers
    }
}

/// Finds the resources that a command line names.
package struct TargetFinder {
    private let configuration: Configuration
    private let node: NodeIdentity

    /// Creates a finder of `configuration`'s resources on `node`.
    package init(_ configuration: Configuration, on node: NodeIdentity) {
        self.configuration = configuration
        self.node = node
    }

    /// The targets of `words`: `all`, `RES`, `RES/VOL`, `RES:PEER`, `RES:PEER/VOL`, `minor-N`.
    ///
    /// A target that is named twice counts once.
    ///
    /// - Throws: `UsageError` for unknown ones and for parts that `verb` does not take.
    package func targets(_ words: [String], for verb: Verb) throws(UsageError) -> [Target] {
        var targets: [Target] = []
        var seen: Set<String> = []
        for word in words {
            if word == "all" {
                for view in try self.views() where seen.insert(view.resource.name).inserted {
                    targets.append(Target(view: view))
                }
                continue
            }
            let target = try self.target(word, for: verb)
            let key =
                target.view.resource.name + (target.peer.map { ":\($0)" } ?? "")
                + (target.volume.map { "/\($0)" } ?? "")
            if seen.insert(key).inserted { targets.append(target) }
        }
        return targets
    }

    /// Those of `targets` that a service brings up, or takes down.
    package static func forService(_ targets: [Target], _ verb: Verb) -> [Target] {
        let option = verb == .up ? "svc-auto-up" : "svc-auto-down"
        return targets.filter { $0.view.host.options[option] != "no" }
    }

    /// All resources of this node; stacked ones are not run by the engine.
    package func views() throws(UsageError) -> [NodeView] {
        var views: [NodeView] = []
        for resource in self.configuration.resources {
            if let view = try self.view(resource), !view.isStacked { views.append(view) }
        }
        return views
    }

    private func view(_ resource: Resource) throws(UsageError) -> NodeView? {
        do throws(Diagnostic) {
            return try self.configuration.view(of: resource, on: self.node)
        } catch {
            throw UsageError(error.description, exitCode: 10)
        }
    }

    private func target(_ word: String, for verb: Verb) throws(UsageError) -> Target {
        if word.hasPrefix("minor-"), let minor = Int(word.dropFirst(6)) {
            for view in try self.views() {
                guard let volume = view.volumes.first(where: { $0.minor == minor }) else {
                    continue
                }
                let target = Target(view: view, volume: volume.number)
                return try self.checked(target, for: verb)
            }
            throw UsageError("no device with minor number \(minor) in your config (for this host).")
        }
        let (name, peer, volume) = self.parts(of: word)
        let undefined = "'\(name)' not defined in your config (for this host)."
        guard let resource = self.configuration.resource(named: name) else {
            throw UsageError(undefined)
        }
        guard let view = try self.view(resource) else {
            throw UsageError("\(undefined) It has no section for '\(self.node.name)'.")
        }
        if view.isStacked {
            throw UsageError("'\(name)' is stacked; stacked resources can not be run.")
        }
        var target = Target(view: view)
        if let peer {
            guard let index = view.peers.firstIndex(where: { $0.answers(to: peer) }) else {
                throw UsageError("Not a valid connection (\(word)) for this host")
            }
            target.peer = index
        }
        if let volume {
            guard let number = Int(volume), view.volumes.contains(where: { $0.number == number })
            else { throw UsageError("Resource '\(name)' has no volume \(volume)") }
            target.volume = number
        }
        return try self.checked(target, for: verb)
    }

    /// Splits `RES[:PEER][/VOL]`; a resource of that very name comes first.
    private func parts(of word: String) -> (name: String, peer: String?, volume: String?) {
        if self.configuration.resource(named: word) != nil { return (word, nil, nil) }
        var rest = word[...]
        var volume: String?
        if let slash = rest.lastIndex(of: "/") {
            volume = String(rest[rest.index(after: slash)...])
            rest = rest[..<slash]
        }
        guard let colon = rest.firstIndex(of: ":") else { return (String(rest), nil, volume) }
        return (String(rest[..<colon]), String(rest[rest.index(after: colon)...]), volume)
    }

    private func checked(_ target: Target, for verb: Verb) throws(UsageError) -> Target {
        if target.volume != nil, !verb.takesVolume {
            throw UsageError(
                "\(verb.rawValue) operates on whole resources, but you specified a specific volume!"
            )
        }
        if target.peer != nil, !verb.takesPeer {
            throw UsageError(
                "\(verb.rawValue) operates on whole resources, but you specified a specific peer!"
            )
        }
        return target
    }
}
