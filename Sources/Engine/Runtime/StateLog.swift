// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Reactor
import Wire

/// What the log has last said of a resource, to say only what has changed since.
///
/// Of volumes the core tells each change (``ResourceAction/moved(volume:from:to:)``).
struct StateLog {
    private var role = Role.secondary
    private var link = Link.standAlone
    private var letter: ReplicationProtocol?

    /// Says what has changed, one line each, and why a connection was lost.
    mutating func update(
        _ resource: String,
        peer: String,
        _ core: inout Resource,
        _ log: LoopLog
    ) {
        if self.role != core.role {
            log.note("resource \(resource): role \(self.role.name) -> \(core.role.name)")
            self.role = core.role
        }
        self.updateLink(resource, peer, &core, log)
        let letter = core.link == .established ? core.agreedProtocol : nil
        if let old = self.letter, let letter, old != letter {
            log.note(
                "resource \(resource): peer \(peer) has changed the protocol "
                    + "\(old.name) -> \(letter.name)"
            )
        }
        self.letter = letter
    }

    private mutating func updateLink(
        _ resource: String,
        _ peer: String,
        _ core: inout Resource,
        _ log: LoopLog
    ) {
        let link = core.link
        guard self.link.name != link.name else { return }
        let wasOpen = self.link == .established || self.link == .handshaking
        log.note(
            "resource \(resource): connection to \(peer) \(self.link.name) -> \(link.name)"
        )
        self.link = link
        guard wasOpen, let reason = core.lossReason else { return }
        let sentence = "resource \(resource): connection to \(peer) lost: \(reason)"
        // What an administrator wants is nothing that somebody has to look at.
        if core.lastLoss == .tearDown { log.note(sentence) } else { log.warn(sentence) }
    }

    /// Says what a volume has changed from and to, and why it has lost its disk.
    static func note(
        _ resource: String,
        peer: String,
        _ volume: VolumeSnapshot,
        from old: VolumeState,
        to new: VolumeState,
        _ log: LoopLog
    ) {
        let name = "\(resource) volume \(volume.number)"
        func note(_ what: String, _ old: StaticString, _ new: StaticString) {
            guard old.description != new.description else { return }
            log.note("\(name): \(what) \(old) -> \(new)")
        }
        if old.disk != new.disk { note("disk", old.disk.name, new.disk.name) }
        if old.connection != new.connection {
            note(
                "replication to \(peer)",
                old.connection.replicationName,
                new.connection.replicationName
            )
        }
        if old.peerDisk != new.peerDisk {
            note("disk of \(peer)", old.peerDisk.name, new.peerDisk.name)
        }
        if old.peerRole != new.peerRole {
            note("role of \(peer)", old.peerRole.name, new.peerRole.name)
        }
        if old.disk > .failed, new.disk <= .failed, let end = volume.diskEnd {
            log.warn("\(name): the disk was given up: \(end.text)")
        }
    }
}

extension Link {
    /// The name in the log.
    fileprivate var name: String {
        switch self {
        case .standAlone: "StandAlone"
        case .unconnected: "Unconnected"
        case .connecting: "Connecting"
        case .handshaking: "Handshaking"
        case .established: "Connected"
        case .closing: "Closing"
        }
    }
}
