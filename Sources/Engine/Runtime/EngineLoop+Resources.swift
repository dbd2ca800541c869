// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// Events to the core of a resource, and its actions.
extension EngineLoop {
    func resource(_ index: Int) -> UnsafeMutablePointer<ResourceDriver> {
        self.state.pointee.resources.address(index)
    }

    /// Gives the core an event and carries out what it asks for.
    func deliver(_ event: ResourceEvent, to index: Int) {
        let resource = self.resource(index)
        resource.pointee.core.receive(
            event,
            at: self.reactor.now,
            into: &resource.pointee.actions
        )
        self.applyActions(of: index)
    }

    func applyActions(of index: Int) {
        let resource = self.resource(index)
        guard !resource.pointee.isApplying else { return }
        resource.pointee.isApplying = true
        while let action = resource.pointee.actions.popFirst() { self.apply(action, of: index) }
        resource.pointee.isApplying = false
    }

    private func apply(_ action: ResourceAction, of index: Int) {
        switch action {
        case .read, .write, .writeZeroes, .flushData: self.applyData(action, of: index)
        case .writeActivityLogBlock, .writeBitmapPage, .writeSuperblock, .flushMetadata, .attached,
            .closeDisk:
            self.applyMetadata(action, of: index)
        case .complete(let request, let error): self.completed(request, error)
        case .completeRead(let request, let buffer): self.completed(request, nil, buffer: buffer)
        case .disconnectClients: self.disconnectClients(of: index)
        case .releaseBuffer(let buffer):
            self.reactor.buffers.release(buffer)
        case .openTransport, .closeTransport, .send, .sendBitmap, .adopt, .sendAuthentication,
            .computeResponses:
            self.applyPeer(action, of: index)
        case .reply(let command, let code):
            let reply = self.resource(index).pointee.replies.removeValue(forKey: command)
            reply?(code)
        case .changed(let change): self.noteChange(index, change)
        case .moved(let volume, let old, let new): self.noteMove(index, volume, old, new)
        }
    }

    /// Not inlined: a look at a variable of this class costs an exclusivity check per action.
    @inline(never)
    private func noteChange(_ index: Int, _ change: ResourceChange) {
        switch change {
        case .resource, .volume: self.refreshDirectory()
        case .connection:
            self.receiveMeta(index)
            self.noteRefusal(index)
        case .peerDevice: break
        }
        self.logStates(index)
        self.onChange?(index, change)
    }

    @inline(never)
    private func noteMove(_ index: Int, _ volume: UInt16, _ old: VolumeState, _ new: VolumeState) {
        self.logStates(index)
        let resource = self.resource(index)
        StateLog.note(
            "resource \(resource.pointee.name)",
            peer: resource.pointee.peer?.name ?? "no peer",
            resource.pointee.core.volumeSnapshot(volume),
            from: old,
            to: new,
            self.log
        )
    }

    private func logStates(_ index: Int) {
        let resource = self.resource(index)
        resource.pointee.stateLog.update(
            resource.pointee.name,
            peer: resource.pointee.peer?.name ?? "no peer",
            &resource.pointee.core,
            self.log
        )
    }

    /// Says once why the connection stays StandAlone until an administrator acts.
    private func noteRefusal(_ index: Int) {
        let resource = self.resource(index)
        guard resource.pointee.core.link == .standAlone,
            case .refused(let refusal)? = resource.pointee.core.lastLoss
        else {
            resource.pointee.toldRefusal = nil
            return
        }
        guard resource.pointee.toldRefusal != refusal else { return }
        resource.pointee.toldRefusal = refusal
        let reason =
            switch refusal {
            case .handshake: resource.pointee.core.handshakeFailureText
            case .data(let refusal): refusal.text
            case .diskTooSmall: "the peer's disk is smaller than what this node exposes"
            case .invalidState(let code): "the peer's state must not be: \(code.text)"
            }
        self.log.warn("resource \(resource.pointee.name): StandAlone: \(reason)")
    }

    /// Tells the core whether a client uses the volume: until its last request is over, even if it
    /// is gone.
    func updateInUse(_ index: Int, _ volume: UInt16) {
        guard self.state.pointee.resources.contains(index) else { return }
        var isInUse = false
        for client in 0..<self.state.pointee.clients.end
        where self.state.pointee.clients.contains(client) {
            let client = self.client(client)
            if client.pointee.resource == index, client.pointee.volume == volume,
                !client.pointee.isFinished
            {
                isInUse = true
            }
        }
        self.deliver(.volumeInUse(volume, isInUse), to: index)
    }

    /// What NBD clients may see and use, after something has changed.
    func refreshDirectory() {
        var exports: [ExportDescription] = []
        for index in 0..<self.state.pointee.resources.end
        where self.state.pointee.resources.contains(index) {
            exports += self.exports(of: index)
        }
        self.state.pointee.directory = ExportDirectory(exports)
    }

    private func exports(of index: Int) -> [ExportDescription] {
        let resource = self.resource(index)
        let isAvailable = resource.pointee.core.acceptsClients
        let isPrimary = resource.pointee.core.role == .primary
        let host = resource.pointee.name
        return resource.pointee.core.volumeIndices.map { volume in
            let snapshot = resource.pointee.core.volumeSnapshot(volume)
            let name = "\(host)/\(snapshot.number)"
            let sentence =
                snapshot.state.role != .primary
                ? isPrimary
                    ? "\(name) was added while \(host) was Primary and has to be promoted, too: "
                        + "bsradm primary \(host), with --force if no node has data of it"
                    : "\(name) is Secondary on this node; make it Primary first: "
                        + "bsradm primary \(host)"
                : "\(name) is being made Secondary on this node by force"
            return ExportDescription(
                identifier: UInt32(index) << 16 | UInt32(volume),
                name: name,
                byteCount: snapshot.sizes.exposedSectors * 512,
                availability: isAvailable && snapshot.state.role == .primary
                    ? .available : .refused(sentence),
                abilities: [.trim, .writeZeroes, .multiConnection]
            )
        }
    }
}
