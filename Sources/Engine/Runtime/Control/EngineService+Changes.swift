// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import EngineCore
import Metadata
import Locking
import Reactor
import Wire

/// Verbs that change the configuration or the state.
extension EngineService {
    func change(_ request: EngineRequest, _ stream: ResponseStream<EngineControl>) {
        switch request {
        case .newResource(let name, let nodeID, let options):
            self.shared.withLock { _ in self.newResource(name, nodeID, options, stream) }
        case .deleteResource(let name):
            self.shared.withLock { _ in self.deleteResource(name, stream) }
        case .down(let name):
            guard let name, self.resource(name) != nil else { return stream.finish() }
            if self.takeDown(name, stream) { stream.finish() }
        case .newMinor(let resource, let minor, let volume, let options):
            self.shared.withLock { _ in
                self.newMinor(resource, minor, volume, options, stream)
            }
        case .deleteMinor(let minor): self.deleteMinor(minor, stream)
        case .newPeer(let peer, let options): self.newPeer(peer, options, stream)
        case .deletePeer(let peer, _): self.deletePeer(peer, stream)
        case .newPath(let peer, let local, let remote):
            self.newPath(peer, local, remote, stream)
        case .deletePath(let peer, let local, let remote):
            self.deletePath(peer, local, remote, stream)
        case .resourceOptions(let name, let setDefaults, let options):
            self.shared.withLock { _ in
                self.resourceOptions(name, setDefaults, options, stream)
            }
        case .diskOptions(let minor, let setDefaults, let options):
            self.diskOptions(minor, setDefaults, options, stream)
        case .netOptions(let peer, let setDefaults, let options):
            self.netOptions(peer, setDefaults, options, stream)
        case .peerDeviceOptions(let device, let setDefaults, let options):
            self.peerDeviceOptions(device, setDefaults, options, stream)
        case .attach(let arguments): self.attach(arguments, stream)
        case .detach, .connect, .disconnect, .primary, .secondary, .outdate, .invalidate,
            .invalidateRemote:
            self.command(request, stream)
        case .forgetPeer: stream.refuseUnsupported("forget-peer of a running resource")
        case .pauseSync: stream.refuseUnsupported("pause-sync")
        case .resumeSync: stream.refuseUnsupported("resume-sync")
        case .suspendIO: stream.refuseUnsupported("suspend-io")
        case .resumeIO: stream.refuseUnsupported("resume-io")
        case .newCurrentUUID: stream.refuseUnsupported("new-current-uuid")
        case .resize: stream.refuseUnsupported("resize")
        case .checkResize: stream.refuseUnsupported("check-resize of a running volume")
        case .verify: stream.refuseUnsupported("verify")
        case .status, .events, .configuration, .generations: stream.finish(.failed)
        }
    }

    // MARK: Resources and volumes

    private func newResource(
        _ name: String,
        _ nodeID: Int,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        if let existing = self.resource(name) {
            // Saying it again is no error; another node id is.
            guard existing.nodeID == nodeID else { return stream.refuse(.alreadyExists) }
            return stream.finish()
        }
        guard nodeID >= 0, nodeID < 32 else {
            return stream.refuse(.invalidRequest, "node id \(nodeID) is not between 0 and 31")
        }
        let checked: ResourceOptions
        do throws(OptionError) {
            checked = try ResourceOptions(options.pairs)
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        if Self.refuseUnsupported(options, .resource, stream) { return }
        if let problem = self.listen(for: name, checked) {
            return stream.refuse(.invalidRequest, problem)
        }
        let index: Int?? = self.ask { loop, done in
            done(
                loop.addResource(
                    name: name,
                    nodeIdentifier: UInt8(nodeID),
                    parameters: ResourceParameters()
                )
            )
        }
        guard let index else {
            _ = self.listen(for: name, nil)
            return self.refuseUnanswered(stream)
        }
        guard let index else {
            _ = self.listen(for: name, nil)
            return stream.finish(
                .refused,
                [
                    "this engine has \(EngineConfiguration.resourceMaximum) resources, which is "
                        + "all that one may have"
                ]
            )
        }
        self.store(
            ConfiguredResource(name: name, nodeID: nodeID, index: index, options: options)
        )
        self.noteWithoutEffect(options, .resource, of: name)
        stream.finish()
    }

    private func deleteResource(_ name: String, _ stream: ResponseStream<EngineControl>) {
        guard let resource = self.resource(name) else { return stream.refuse(.resourceUnknown) }
        let index = resource.index
        let isRemoved: Bool? = self.ask { loop, done in done(loop.removeResource(index)) }
        guard let isRemoved else { return self.refuseUnanswered(stream) }
        guard isRemoved else { return stream.refuse(.resourceInUse) }
        self.forget(name)
        _ = self.listen(for: name, nil)
        self.events.removed(name)
        stream.finish()
    }

    /// Takes a resource down; false if that is refused, and `stream` has been told then.
    func takeDown(_ name: String, _ stream: ResponseStream<EngineControl>) -> Bool {
        guard let resource = self.resource(name) else { return true }
        let index = resource.index
        let code: StateChangeCode? = self.ask { loop, done in
            loop.command(index, .down) { done($0) }
        }
        guard let code, code.isSuccess else {
            switch code {
            case .deviceInUse?: stream.finish(.deviceInUse, Self.inUseText(name))
            case let code?: stream.finish(code)
            case nil: self.refuseUnanswered(stream)
            }
            return false
        }
        let volumes = resource.volumes.values.map(\.index)
        let isRemoved: Bool? = self.ask { loop, done in
            for volume in volumes { _ = loop.removeVolume(index, volume) }
            done(loop.removeResource(index))
        }
        guard let isRemoved, isRemoved else {
            isRemoved == nil ? self.refuseUnanswered(stream) : stream.refuse(.resourceInUse)
            return false
        }
        self.shared.withLock { _ in
            self.forget(resource.name)
            _ = self.listen(for: resource.name, nil)
        }
        self.events.removed(resource.name)
        return true
    }

    private func newMinor(
        _ name: String,
        _ minor: Int,
        _ number: Int,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var resource = self.resource(name) else { return stream.refuse(.resourceUnknown) }
        if let existing = resource.volumes[minor], existing.number == number {
            return stream.finish()
        }
        guard self.volume(minor: minor) == nil,
            !resource.volumes.values.contains(where: { $0.number == number })
        else { return stream.refuse(.alreadyExists) }
        guard let identifier = UInt16(exactly: number), minor >= 0, minor < 1 << 20 else {
            return stream.refuse(.invalidRequest, "volume \(number), minor \(minor)")
        }
        let index = resource.index
        let volume: UInt16?? = self.ask { loop, done in
            done(
                loop.addVolume(
                    index,
                    number: identifier,
                    minor: UInt32(minor),
                    parameters: DiskParameters()
                )
            )
        }
        guard let volume else { return self.refuseUnanswered(stream) }
        guard let volume else { return stream.refuse(.alreadyExists) }
        resource.volumes[minor] = ConfiguredVolume(number: number, minor: minor, index: volume)
        self.store(resource)
        stream.finish()
    }

    private func deleteMinor(_ minor: Int, _ stream: ResponseStream<EngineControl>) {
        guard var (resource, volume) = self.volume(minor: minor) else {
            return stream.refuse(.minorUnknown)
        }
        let index = resource.index
        let place = volume.index
        let isRemoved: Bool? = self.ask { loop, done in done(loop.removeVolume(index, place)) }
        guard let isRemoved else { return self.refuseUnanswered(stream) }
        guard isRemoved else {
            return stream.refuse(.minorConfigured, self.reasonToKeep(resource, volume))
        }
        volume.attached = nil
        resource.volumes[minor] = nil
        self.store(resource)
        stream.finish()
    }

    /// Why a volume cannot be removed, and what to do first.
    private func reasonToKeep(_ resource: ConfiguredResource, _ volume: ConfiguredVolume) -> String
    {
        let name = "\(resource.name)/\(volume.number)"
        let state = self.snapshot(resource)?.volumes.first { $0.index == volume.index }?.snapshot
        if state?.hasDisk ?? false {
            return "\(name) has its disk; first: bsradm detach \(name)"
        }
        if state?.state.role == .primary {
            return "\(name) is Primary; first: bsradm secondary \(resource.name)"
        }
        return "\(name) has requests that are not over; try again when they are"
    }

    // MARK: Attach

    private func attach(
        _ arguments: AttachArguments,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var (resource, volume) = self.volume(minor: arguments.minor) else {
            return stream.refuse(.minorUnknown)
        }
        if self.hasDisk(resource, volume) { return stream.refuse(.diskConfigured) }
        let options: DiskOptions
        do throws(OptionError) {
            options = try DiskOptions(arguments.options.pairs)
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        if Self.refuseUnsupported(arguments.options, .disk, stream) { return }
        let settings = DiskSettings(options)
        let request = AttachRequest(
            dataPath: arguments.disk,
            metadataPath: arguments.metaDisk,
            index: arguments.index,
            mode: settings.mode
        )
        let index = resource.index
        let place = volume.index
        let answer: AttachFailure?? = self.ask { loop, done in
            loop.setDiskParameters(index, place, settings.parameters)
            loop.attach(index, volume: place, request) { done($0) }
        }
        guard let answer else { return self.refuseUnanswered(stream) }
        if let failure = answer {
            guard let code = FailureCode(rawValue: Int32(failure.code)) else {
                return stream.finish(.failed, [failure.text])
            }
            return stream.refuse(code, failure.text)
        }
        volume.attached = arguments
        volume.diskOptions = arguments.options
        resource.volumes[arguments.minor] = volume
        self.store(resource)
        self.noteWithoutEffect(arguments.options, .disk, of: resource.name)
        stream.finish(.success, self.reducedActivityLog(resource, volume, settings))
    }

    /// Says that the activity log holds less extents than `al-extents` asks for.
    private func reducedActivityLog(
        _ resource: ConfiguredResource,
        _ volume: ConfiguredVolume,
        _ settings: DiskSettings
    ) -> [String] {
        let index = resource.index
        let place = volume.index
        let slots: Int?? = self.ask { loop, done in
            done(loop.files(index, place)?.layout.geometry.slotCountMaximum)
        }
        let wanted = Int(settings.parameters.activityLogExtents)
        guard let slots, let slots, slots < wanted else { return [] }
        let text =
            "resource \(resource.name) volume \(volume.number): al-extents \(wanted) is more than "
            + "the activity log on disk holds; \(slots) are used"
        self.warn(text)
        return [text]
    }

    private func hasDisk(_ resource: ConfiguredResource, _ volume: ConfiguredVolume) -> Bool {
        self.snapshot(resource)?.volumes.first { $0.index == volume.index }?.snapshot.hasDisk
            ?? false
    }

    // MARK: Options

    /// Refuses a request if any of `options` is not built, and names all of those.
    static func refuseUnsupported(
        _ options: [OptionText],
        _ section: OptionSection,
        _ stream: ResponseStream<EngineControl>
    ) -> Bool {
        let problems = OptionTable.refusals(of: options.pairs, in: section)
        guard !problems.isEmpty else { return false }
        stream.finish(.failure(.invalidRequest), problems)
        return true
    }

    /// Logs which of `options` nothing depends on yet.
    func noteWithoutEffect(
        _ options: [OptionText],
        _ section: OptionSection,
        of resource: String
    ) {
        let names = OptionTable.withoutEffect(options.pairs, in: section)
        if let notice = OptionTable.notice(names, of: resource) { self.warn(notice) }
    }

    private func resourceOptions(
        _ name: String,
        _ setDefaults: Bool,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var resource = self.resource(name) else { return stream.refuse(.resourceUnknown) }
        let merged = resource.options.merging(options, setDefaults: setDefaults)
        let checked: ResourceOptions
        do throws(OptionError) {
            checked = try ResourceOptions(merged.pairs)
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        if Self.refuseUnsupported(merged, .resource, stream) { return }
        if let problem = self.listen(for: name, checked) {
            return stream.refuse(.invalidRequest, problem)
        }
        resource.options = merged
        self.store(resource)
        self.noteWithoutEffect(options, .resource, of: name)
        stream.finish()
    }

    private func diskOptions(
        _ minor: Int,
        _ setDefaults: Bool,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var (resource, volume) = self.volume(minor: minor) else {
            return stream.refuse(.minorUnknown)
        }
        var merged = volume.diskOptions.merging(options, setDefaults: setDefaults)
        // `--set-defaults` leaves the size alone, as with DRBD: `resize` changes it.
        if setDefaults, !options.contains(where: { $0.name == "size" }) {
            merged += volume.diskOptions.filter { $0.name == "size" }
        }
        let before: DiskSettings
        let settings: DiskSettings
        do throws(OptionError) {
            before = DiskSettings(try DiskOptions(volume.diskOptions.pairs))
            settings = DiskSettings(try DiskOptions(merged.pairs))
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        if Self.refuseUnsupported(merged, .disk, stream) { return }
        let index = resource.index
        let place = volume.index
        let _: Bool? = self.ask { loop, done in
            loop.setDiskParameters(index, place, settings.parameters)
            done(true)
        }
        let later = self.hasDisk(resource, volume) ? settings.later(than: before) : []
        volume.diskOptions = merged
        resource.volumes[minor] = volume
        self.store(resource)
        self.noteWithoutEffect(options, .disk, of: resource.name)
        guard !later.isEmpty else { return stream.finish() }
        let text =
            "resource \(resource.name) volume \(volume.number): it has its disk; changed "
            + "\(later.joined(separator: ", ")) take effect at the next attach"
        self.warn(text)
        stream.finish(.success, [text])
    }

    private func peerDeviceOptions(
        _ device: PeerDeviceAddress,
        _ setDefaults: Bool,
        _ options: [OptionText],
        _ stream: ResponseStream<EngineControl>
    ) {
        guard var (resource, peer) = self.peer(device.peer, stream) else { return }
        let merged = (peer.peerDeviceOptions[device.volume] ?? [])
            .merging(options, setDefaults: setDefaults)
        do throws(OptionError) {
            _ = try PeerDeviceOptions(merged.pairs)
        } catch { return stream.refuse(.invalidRequest, "\(error)") }
        peer.peerDeviceOptions[device.volume] = merged
        resource.peer = peer
        self.store(resource)
        self.noteWithoutEffect(options, .peerDevice, of: resource.name)
        stream.finish()
    }
}
