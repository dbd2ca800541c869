// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import EngineCore
import Primitives
import Reactor
import Wire

/// The peer of a resource: its options and its path.
extension EngineService {
    func newPeer(
        _ address: PeerAddress,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var resource = self.resource(address.resource) else {
            return stream.refuse(.resourceUnknown)
        }
        if let peer = resource.peer {
            guard peer.nodeID == address.peerNodeID else {
                return stream.refuse(
                    .invalidPeerNodeID,
                    "\(address.resource) has peer \(peer.nodeID) already, and at replication "
                        + "protocol 101 a resource has one connection"
                )
            }
            return stream.finish()
        }
        guard address.peerNodeID >= 0, address.peerNodeID < 32,
            address.peerNodeID != resource.nodeID
        else { return stream.refuse(.invalidPeerNodeID) }
        resource.peer = ConfiguredPeer(nodeID: address.peerNodeID, options: options)
        self.noteWithoutEffect(options, .net, of: address.resource)
        self.apply(resource, stream)
    }

    /// The resource and the peer that `address` names; nil if there is none, and `stream` has been
    /// told then.
    func peer(_ address: PeerAddress, _ stream: ResponseStream<EngineControl>)
        -> (ConfiguredResource, ConfiguredPeer)?
    {
        guard let resource = self.resource(address.resource) else {
            stream.refuse(.resourceUnknown)
            return nil
        }
        guard let peer = resource.peer, peer.nodeID == address.peerNodeID else {
            stream.refuse(.invalidPeerNodeID)
            return nil
        }
        return (resource, peer)
    }

    /// The same; nil, too, if it is connected or looks for the peer.
    private func standAlonePeer(_ address: PeerAddress, _ stream: ResponseStream<EngineControl>)
        -> (ConfiguredResource, ConfiguredPeer)?
    {
        guard let (resource, peer) = self.peer(address, stream) else { return nil }
        guard self.snapshot(resource)?.link == .standAlone else {
            stream.refuse(.connected, "Disconnect first")
            return nil
        }
        return (resource, peer)
    }

    func deletePeer(_ address: PeerAddress, _ stream: ResponseStream<EngineControl>) {
        guard var (resource, _) = self.standAlonePeer(address, stream) else { return }
        resource.peer = nil
        self.store(resource)
        stream.finish()
    }

    func newPath(
        _ address: PeerAddress,
        _ local: String,
        _ remote: String,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var (resource, peer) = self.peer(address, stream) else { return }
        if let known = peer.local, known != local || peer.remote != remote {
            return stream.refuse(.peerExists, "A connection has one path; delete it first")
        }
        peer.local = local
        peer.remote = remote
        resource.peer = peer
        self.apply(resource, stream)
    }

    func deletePath(
        _ address: PeerAddress,
        _ local: String,
        _ remote: String,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var (resource, peer) = self.peer(address, stream) else { return }
        guard peer.local == local, peer.remote == remote else {
            return stream.refuse(.invalidRequest, "There is no such path")
        }
        guard self.standAlonePeer(address, stream) != nil else { return }
        peer.local = nil
        peer.remote = nil
        resource.peer = peer
        self.store(resource)
        stream.finish()
    }

    func netOptions(
        _ address: PeerAddress,
        _ setDefaults: Bool,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var (resource, peer) = self.peer(address, stream) else { return }
        let merged = peer.options.merging(options, setDefaults: setDefaults)
        let isChanged = merged != peer.options
        peer.options = merged
        resource.peer = peer
        self.noteWithoutEffect(options, .net, of: address.resource)
        let isConnected = self.snapshot(resource).map { $0.link == .established } ?? false
        guard isChanged, isConnected else { return self.apply(resource, stream) }
        self.apply(resource, stream, warning: Self.laterText(address.resource))
    }

    private static func laterText(_ resource: String) -> String {
        "resource \(resource): it is connected; changed net options take effect at the next connect"
    }

    /// Checks the peer's options, tells the loop and stores the resource.
    private func apply(
        _ resource: ConfiguredResource,
        _ stream: ResponseStream<EngineControl>,
        warning: String? = nil
    ) {
        guard let peer = resource.peer else { return stream.finish() }
        if Self.refuseUnsupported(peer.options, .net, stream) { return }
        let settings: PeerSettings
        do {
            settings = try PeerSettings(try NetOptions(peer.options.pairs))
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        var configuration: PeerConfiguration
        do throws(UnsupportedOption) {
            configuration = PeerConfiguration(
                name: settings.name ?? peer.name,
                nodeIdentifier: UInt8(peer.nodeID),
                local: try .parsing(peer.local ?? "ipv4:127.0.0.1:0"),
                remote: try .parsing(peer.remote ?? "ipv4:127.0.0.1:1")
            )
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        configuration.options = settings.sockets
        configuration.digest = settings.digest
        configuration.secret = settings.secret
        let index = resource.index
        let ready = configuration
        let _: Bool? = self.ask { loop, done in
            loop.setPeer(index, ready)
            loop.setNetworkParameters(index, settings.parameters)
            if let warning { loop.log.warn(warning) }
            done(true)
        }
        self.store(resource)
        stream.finish(.success, warning.map { [$0] } ?? [])
    }

    // MARK: Commands

    func command(_ request: EngineRequest, _ stream: ResponseStream<EngineControl>) {
        switch request {
        case .primary(let name, let force): self.run(.primary(force: force), on: name, stream)
        case .secondary(let name, let force): self.run(.secondary(force: force), on: name, stream)
        case .connect(let peer, let discardMyData, let tentative):
            self.connect(peer, discardMyData, tentative, stream)
        case .disconnect(let peer, let force):
            self.run(.disconnect(force: force), on: peer.resource, stream)
        case .detach(let minor, let force, _):
            self.run(minor, stream) { .detach(volume: $0, force: force) }
        case .outdate(let minor): self.run(minor, stream) { .outdate(volume: $0) }
        case .invalidate(let minor, let source, let resetBitmap):
            self.invalidate(minor, from: source, resetBitmap, stream)
        case .invalidateRemote(_, resetBitmap: false): self.refuseToKeepBitmap(stream)
        case .invalidateRemote(let device, _):
            guard let resource = self.resource(device.peer.resource),
                let volume = resource.volumes.values.first(where: { $0.number == device.volume })
            else { return stream.refuse(.resourceUnknown) }
            self.run(.invalidateRemote(volume: volume.index), on: resource.name, stream)
        default: stream.finish(.failed)
        }
    }

    private func invalidate(
        _ minor: Int,
        from source: Int?,
        _ resetBitmap: Bool,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard let (resource, volume) = self.volume(minor: minor) else {
            return stream.refuse(.minorUnknown)
        }
        guard resetBitmap else { return self.refuseToKeepBitmap(stream) }
        if let source, source != resource.peer?.nodeID {
            let peers = resource.peer.map { "its peer is node \($0.nodeID)" } ?? "it has no peer"
            return stream.refuse(
                .invalidPeerNodeID,
                "\(resource.name) cannot be copied from node \(source): \(peers)"
            )
        }
        self.run(.invalidate(volume: volume.index), on: resource.name, stream)
    }

    /// A resync of what is marked only is a step that peers know from a later protocol on.
    private func refuseToKeepBitmap(_ stream: ResponseStream<EngineControl>) {
        stream.refuse(
            .invalidRequest,
            "--reset-bitmap=no is not supported: at replication protocol 101 everything is copied; "
                + "leave it out"
        )
    }

    private func connect(
        _ peer: PeerAddress,
        _ discardMyData: Bool,
        _ tentative: Bool,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard let (_, configured) = self.peer(peer, stream) else { return }
        guard configured.local != nil else { return stream.finish(.noNetConfiguration) }
        guard !tentative else { return stream.refuseUnsupported("connect --tentative") }
        self.run(.connect(discardMyData: discardMyData), on: peer.resource, stream)
    }

    private func run(
        _ minor: Int,
        _ stream: ResponseStream<EngineControl>,
        _ command: (UInt16) -> ResourceCommand
    ) {
        guard let (resource, volume) = self.volume(minor: minor) else {
            return stream.refuse(.minorUnknown)
        }
        self.run(command(volume.index), on: resource.name, stream)
    }

    private func run(
        _ command: ResourceCommand,
        on name: String,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard let resource = self.resource(name) else { return stream.refuse(.resourceUnknown) }
        let index = resource.index
        let code: StateChangeCode? = self.ask { loop, done in
            loop.command(index, command) { done($0) }
        }
        let isFirstPromotion =
            command == .primary(force: false) && code == .noUpToDateDisk && self.isFresh(resource)
        guard let code else { return self.refuseUnanswered(stream) }
        if code == .deviceInUse { return stream.finish(code, Self.inUseText(name)) }
        guard isFirstPromotion else { return stream.finish(code) }
        stream.finish(
            .noUpToDateDisk,
            "\(name) is new, and no node's data counts yet. The first time, on the one node whose "
                + "data is to be copied: bsradm primary --force \(name)"
        )
    }

    /// What to do about a client that keeps a resource Primary.
    static func inUseText(_ name: String) -> String {
        "NBD clients use \(name); close them first, or end their connections: "
            + "bsradm secondary --force \(name)"
    }

    /// True if no volume has ever held data that counts.
    private func isFresh(_ resource: ConfiguredResource) -> Bool {
        guard let volumes = self.snapshot(resource)?.volumes, !volumes.isEmpty else { return false }
        return volumes.allSatisfy {
            $0.snapshot.hasDisk && $0.snapshot.generations.current.names(.justCreated)
        }
    }
}
