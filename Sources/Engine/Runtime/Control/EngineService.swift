// SPDX-License-Identifier: Apache-2.0

package import Administration
import Configuration
import Dispatch
import EngineCore
import Locking
package import Reactor
import Wire

/// Answers what tools ask of `bsrd`: keeps what is configured and hands the rest to the loop.
///
/// Every request is answered on the thread of its client. Changes of one resource are made one
/// after the other; a command that waits holds up none of another resource. What has begun is
/// carried out to its end even if its client goes away meanwhile.
package final class EngineService: Sendable {
    private let handle: LoopHandle<EngineLoop>
    private let resources = Guarded<[String: ConfiguredResource]>([:])
    private let changes = ResourceLocks()
    /// Held for what resources share: names, minor numbers, NBD addresses.
    ///
    /// Never while a command waits for anything but the loop; taken behind the lock of a resource.
    let shared = Guarded<Void>(())
    package let events = EventHub()

    /// Creates the service of a running loop.
    package init(_ handle: LoopHandle<EngineLoop>) { self.handle = handle }

    /// Answers one request.
    package func answer(_ request: EngineRequest, _ stream: ResponseStream<EngineControl>) {
        switch request {
        case .status(let name): self.status(name, stream)
        case .events(let name): self.followEvents(name, stream)
        case .configuration(nil): self.configuration(nil, stream)
        case .configuration(let name?):
            // Who compares with it must not see what a change is taking away.
            self.changes.withLock(name, while: { stream.isOpen }) {
                self.configuration(name, stream)
            }
        case .generations(let address): self.generations(address, stream)
        case .down(nil): self.downAll(stream)
        default:
            guard let name = self.resourceName(of: request) else {
                return self.change(request, stream)
            }
            self.changes.withLock(name, while: { stream.isOpen }) { self.change(request, stream) }
        }
    }

    private func downAll(_ stream: ResponseStream<EngineControl>) {
        for resource in self.allResources where stream.isOpen {
            var isDown = false
            self.changes.withLock(resource.name, while: { stream.isOpen }) {
                isDown = self.takeDown(resource.name, stream)
            }
            guard isDown else { return }
        }
        stream.finish()
    }

    /// The resource that a change is about; nil if it does not exist.
    private func resourceName(of request: EngineRequest) -> String? {
        switch request {
        case .newResource(let name, _, _), .deleteResource(let name), .newMinor(let name, _, _, _),
            .resourceOptions(let name, _, _), .primary(let name, _), .secondary(let name, _):
            name
        case .down(let name), .status(let name), .events(let name), .configuration(let name): name
        case .newPeer(let peer, _), .deletePeer(let peer, _), .forgetPeer(let peer),
            .newPath(let peer, _, _), .deletePath(let peer, _, _), .netOptions(let peer, _, _),
            .connect(let peer, _, _), .disconnect(let peer, _):
            peer.resource
        case .peerDeviceOptions(let device, _, _), .invalidateRemote(let device, _),
            .pauseSync(let device), .resumeSync(let device), .verify(let device, _),
            .generations(let device):
            device.peer.resource
        case .deleteMinor(let minor), .diskOptions(let minor, _, _), .detach(let minor, _, _),
            .outdate(let minor), .invalidate(let minor, _, _), .suspendIO(let minor),
            .resumeIO(let minor), .newCurrentUUID(let minor, _, _), .resize(let minor, _),
            .checkResize(let minor):
            self.volume(minor: minor)?.0.name
        case .attach(let arguments): self.volume(minor: arguments.minor)?.0.name
        }
    }

    // MARK: The loop

    /// Runs `body` on the loop's thread and waits for what it passes on, however long that takes.
    ///
    /// The result is nil if the loop ends first, or lets go of the answer's closure without a call.
    package func ask<Answer: Sendable>(
        _ body: @escaping @Sendable (EngineLoop, @escaping @Sendable (Answer) -> Void) -> Void
    ) -> Answer? {
        let box = AnswerBox<Answer>()
        let isPosted = self.post(body, answering: box)
        guard isPosted else { return nil }
        box.isSettled.wait()
        return box.value.withLock { $0 }
    }

    private func post<Answer: Sendable>(
        _ body: @escaping @Sendable (EngineLoop, @escaping @Sendable (Answer) -> Void) -> Void,
        answering box: AnswerBox<Answer>
    ) -> Bool {
        let promise = AnswerPromise(box)
        return self.handle.perform { loop in
            body(loop) { promise.keep($0) }
        }
    }

    /// Says that ``ask(_:)`` got no answer.
    func refuseUnanswered(_ stream: ResponseStream<EngineControl>) {
        stream.finish(.failed, [Self.unanswered])
    }

    static let unanswered =
        "the engine is stopping and has not finished this; part of it may be done: when the engine "
        + "runs again, look at 'bsradm status'"

    func snapshot(_ resource: ConfiguredResource) -> ResourceSnapshot? {
        let index = resource.index
        return self.ask { loop, done in done(loop.snapshot(index)) }
    }

    // MARK: What is configured

    func resource(_ name: String) -> ConfiguredResource? {
        self.resources.withLock { $0[name] }
    }

    var allResources: [ConfiguredResource] {
        self.resources.withLock { $0.values.sorted { $0.name < $1.name } }
    }

    func store(_ resource: ConfiguredResource) {
        self.resources.withLock { $0[resource.name] = resource }
    }

    func forget(_ name: String) { self.resources.withLock { _ = $0.removeValue(forKey: name) } }

    /// The resource and volume with a minor number.
    func volume(minor: Int) -> (ConfiguredResource, ConfiguredVolume)? {
        self.resources.withLock { resources in
            for resource in resources.values {
                if let volume = resource.volumes[minor] { return (resource, volume) }
            }
            return nil
        }
    }

    // MARK: Looking

    private func named(
        _ name: String?,
        _ stream: ResponseStream<EngineControl>
    ) -> [ConfiguredResource]? {
        guard let name else { return self.allResources }
        guard let resource = self.resource(name) else {
            stream.refuse(.resourceUnknown)
            return nil
        }
        return [resource]
    }

    private func status(_ name: String?, _ stream: ResponseStream<EngineControl>) {
        guard let resources = self.named(name, stream) else { return }
        for resource in resources {
            guard let snapshot = self.snapshot(resource) else { continue }
            stream.send(.status(TimedStatus(ResourceStatus(snapshot, resource), at: .now)))
        }
        stream.finish()
    }

    private func followEvents(_ name: String?, _ stream: ResponseStream<EngineControl>) {
        guard let resources = self.named(name, stream) else { return }
        let subscription = self.events.subscribe()
        defer { self.events.unsubscribe(subscription) }
        for resource in resources {
            guard let snapshot = self.snapshot(resource) else { continue }
            stream.send(.status(TimedStatus(ResourceStatus(snapshot, resource), at: .now)))
        }
        stream.send(.initialStateEnd(time: .now))
        while stream.isOpen {
            for event in subscription.next(waitingSeconds: 1) {
                guard let payload = self.payload(event, name) else { continue }
                guard stream.send(payload) else { return }
            }
        }
    }

    private func payload(_ event: EventHub.Event, _ name: String?) -> EnginePayload? {
        switch event {
        case .changed(let snapshot, let time):
            guard name == nil || name == snapshot.name, let resource = self.resource(snapshot.name)
            else { return nil }
            return .status(TimedStatus(ResourceStatus(snapshot, resource), at: time))
        case .removed(let removed, let time):
            return name == nil || name == removed ? .removed(name: removed, time: time) : nil
        case .skipped(let count): return .skipped(count: count, time: .now)
        }
    }

    private func configuration(_ name: String?, _ stream: ResponseStream<EngineControl>) {
        guard let resources = self.named(name, stream) else { return }
        for resource in resources {
            guard let snapshot = self.snapshot(resource) else { continue }
            stream.send(.configuration(ResourceConfiguration(snapshot, resource)))
        }
        stream.finish()
    }

    private func generations(
        _ address: PeerDeviceAddress,
        _ stream: ResponseStream<EngineControl>
    ) {
        guard let resource = self.resource(address.peer.resource) else {
            return stream.refuse(.resourceUnknown)
        }
        guard let snapshot = self.snapshot(resource),
            let report = snapshot.volumes.first(where: {
                $0.snapshot.number == UInt16(clamping: address.volume)
            })
        else { return stream.refuse(.invalidRequest, "There is no volume \(address.volume)") }
        guard report.snapshot.hasDisk else { return stream.refuse(.noDisk) }
        stream.send(.generations(GenerationStatus(report.snapshot)))
        stream.finish()
    }
}

/// Where a thread waits for an answer of the loop.
private final class AnswerBox<Answer: Sendable>: Sendable {
    let value = Guarded<Answer?>(nil)
    /// Signalled when there is an answer, and when there will be none.
    let isSettled = DispatchSemaphore(value: 0)
}

/// What the loop holds of an answer it owes; letting go of it ends the wait.
private final class AnswerPromise<Answer: Sendable>: Sendable {
    private let box: AnswerBox<Answer>

    init(_ box: AnswerBox<Answer>) { self.box = box }

    deinit { self.box.isSettled.signal() }

    func keep(_ answer: Answer) {
        self.box.value.withLock { $0 = answer }
        self.box.isSettled.signal()
    }
}
