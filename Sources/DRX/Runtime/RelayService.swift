// SPDX-License-Identifier: Apache-2.0

package import Administration
import DRXCore
import Foundation
import Locking
package import Reactor
import Wire

/// Answers what tools ask of `drxd`, each on the thread of its client.
package final class RelayService: Sendable {
    /// How a request went.
    enum Outcome: Sendable {
        case done
        case refused(String)
    }

    /// The machine's own deadlines for the end of streams are shorter.
    private static let patience: Double = 90

    private let handle: LoopHandle<RelayLoop>
    private let changes = Guarded<Void>(())

    /// Creates the service of a running loop.
    package init(_ handle: LoopHandle<RelayLoop>) { self.handle = handle }

    /// Answers one request.
    package func answer(_ request: RelayRequest, _ stream: ResponseStream<RelayControl>) {
        switch request {
        case .status:
            guard let reports = self.ask({ loop, done in done(loop.reports) }) else {
                return stream.finish(.failed, ["drxd is stopping"])
            }
            for report in reports { stream.send(report) }
            stream.finish()
        case .up(let arguments): self.change(stream) { $0.up(arguments, replaces: false, $1) }
        case .adjust(let arguments): self.change(stream) { $0.up(arguments, replaces: true, $1) }
        case .down(let name): self.change(stream) { $0.down(name, $1) }
        }
    }

    private func change(
        _ stream: ResponseStream<RelayControl>,
        _ body: @escaping @Sendable (RelayLoop, @escaping @Sendable (Outcome) -> Void) -> Void
    ) {
        self.changes.withLock { _ in
            switch self.ask(body) {
            case .done: stream.finish()
            case .refused(let text): stream.finish(.refused, [text])
            case nil: stream.finish(.failed, ["drxd did not finish in time, or is stopping"])
            }
        }
    }

    private func ask<Answer: Sendable>(
        _ body: @escaping @Sendable (RelayLoop, @escaping @Sendable (Answer) -> Void) -> Void
    ) -> Answer? {
        let semaphore = DispatchSemaphore(value: 0)
        let box = AnswerBox<Answer>()
        let isPosted = self.handle.perform { loop in
            body(loop) { answer in
                box.value.withLock { $0 = answer }
                semaphore.signal()
            }
        }
        guard isPosted, semaphore.wait(timeout: .now() + Self.patience) == .success else {
            return nil
        }
        return box.value.withLock { $0 }
    }
}

private final class AnswerBox<Answer: Sendable>: Sendable {
    let value = Guarded<Answer?>(nil)
}

extension RelayLoop {
    func up(
        _ arguments: RelayArguments,
        replaces: Bool,
        _ done: @escaping @Sendable (RelayService.Outcome) -> Void
    ) {
        let settings: RelaySettings
        do {
            settings = try RelaySettings(arguments)
        } catch {
            return done(.refused("\(error)"))
        }
        guard let existing = self.drivers[arguments.name] else {
            guard self.drivers.count < Self.connectionMaximum else {
                return done(
                    .refused("no more than \(Self.connectionMaximum) connections on one relay")
                )
            }
            self.add(settings)
            return done(.done)
        }
        if existing.settings.arguments == arguments { return done(.done) }
        guard replaces else {
            return done(
                .refused(
                    "connection \(arguments.name) is up with other settings; use drxctl adjust"
                )
            )
        }
        existing.onFinished.append { [unowned self] in
            self.add(settings)
            done(.done)
        }
        existing.post(.down)
    }

    func down(_ name: String, _ done: @escaping @Sendable (RelayService.Outcome) -> Void) {
        guard let driver = self.drivers[name] else { return done(.done) }
        driver.onFinished.append { done(.done) }
        driver.post(.down)
    }

    var reports: [RelayReport] {
        self.drivers.values.map(\.report).sorted { $0.name < $1.name }
    }
}

extension RelayDriver {
    fileprivate var report: RelayReport {
        let arguments = self.settings.arguments
        var report = RelayReport(name: arguments.name, resource: arguments.resource)
        report.acceptor = self.report(.acceptor)
        report.connector = self.report(.connector)
        report.remoteStates = self.machine.remoteStates.map {
            [$0.acceptor.rawValue, $0.connector.rawValue]
        }
        self.report(&report.buffer)
        return report
    }

    private func report(_ role: ChannelRole) -> RelayReport.Channel {
        let arguments = self.settings.arguments
        let isAcceptor = role == .acceptor
        var report = RelayReport.Channel()
        report.state = self.machine.state(of: role).rawValue
        report.type = self.machine.type(of: role)?.rawValue
        report.carriesBoth = self.machine.carriesBoth(role)
        report.isBridged = self.machine.isBridged(role)
        report.engineAddress = arguments.engine.text
        report.relayAddress = (isAcceptor ? arguments.inside : arguments.outside).text
        report.remoteAddress = arguments.peerOutside.text
        for lane in self.lanes where lane.id.role == role {
            report.sentContentBytes += lane.counters.sentContent
            report.sentPayloadBytes += lane.counters.sentPayload
            report.receivedContentBytes += lane.counters.receivedContent
            report.receivedPayloadBytes += lane.counters.receivedPayload
            if let date = lane.upSince, report.upSince.isEmpty {
                report.upSince = date.formatted(.iso8601)
            }
        }
        return report
    }
}
