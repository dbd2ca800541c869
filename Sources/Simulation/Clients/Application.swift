// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Primitives

/// The application of one node: submits requests and has what it is told checked.
package final class Application {
    private unowned let world: World
    package let node: Int
    package private(set) var outstanding = 0
    package private(set) var succeeded = 0
    package private(set) var failed = 0
    /// Whether the application has the volumes in use.
    package private(set) var isRunning = false

    init(_ world: World, node: Int) {
        self.world = world
        self.node = node
    }

    /// The node is gone, and so is who used it.
    func died() {
        self.outstanding = 0
        self.isRunning = false
    }

    // MARK: Use

    /// Opens all volumes.
    package func open() {
        self.isRunning = true
        self.tellUse(true)
    }

    /// Closes them; what is outstanding goes on.
    package func close() {
        guard self.isRunning else { return }
        self.isRunning = false
        self.tellUse(false)
    }

    /// The node has ended the clients' connections.
    func disconnected() {
        self.world.nodes[self.node].later(.microseconds(50)) { self.close() }
    }

    private func tellUse(_ isInUse: Bool) {
        let node = self.world.nodes[self.node]
        for volume in node.core.volumeIndices where node.isUp {
            node.deliver(.volumeInUse(volume, isInUse))
        }
    }

    // MARK: Requests

    package func write(
        _ volume: UInt16,
        _ range: SectorRange,
        kind: ClientRequest.Kind = .write,
        isForcedUnitAccess: Bool = false,
        then next: @escaping () -> Void = {}
    ) {
        let checks = self.world.checks
        guard
            let content = checks.begin(self.node, volume, range, isZeroes: kind != .write)
        else { return next() }
        self.submit(
            volume,
            kind,
            range,
            content: content,
            isForcedUnitAccess: isForcedUnitAccess,
            account: { [node] error, _ in
                guard error == nil else { return }
                checks.completed(content, node, isForcedUnitAccess: isForcedUnitAccess)
            },
            then: next
        )
    }

    package func read(
        _ volume: UInt16,
        _ range: SectorRange,
        then next: @escaping () -> Void = {}
    ) {
        let checks = self.world.checks
        guard let read = checks.beginRead(self.node, volume, range) else { return next() }
        self.submit(
            volume,
            .read,
            range,
            account: { error, content in
                if error == nil, let content { checks.completed(read, content) }
            },
            then: next
        )
    }

    package func flush(_ volume: UInt16, then next: @escaping () -> Void = {}) {
        let checks = self.world.checks
        let floors = checks.beginFlush(self.node, volume)
        let submittedAt = self.world.steps
        self.submit(
            volume,
            .flush,
            SectorRange(start: 0, count: 0),
            account: { [node] error, _ in
                guard error == nil else { return }
                checks.completedFlush(node, volume, floors, submittedAt: submittedAt)
            },
            then: next
        )
    }

    private func submit(
        _ volume: UInt16,
        _ kind: ClientRequest.Kind,
        _ range: SectorRange,
        content: Content = 0,
        isForcedUnitAccess: Bool = false,
        account: @escaping (ClientError?, [Content]?) -> Void,
        then next: @escaping () -> Void
    ) {
        self.outstanding += 1
        self.world.nodes[self.node]
            .request(
                volume,
                kind,
                range,
                content: content,
                isForcedUnitAccess: isForcedUnitAccess,
                account: account
            ) { [self] error, _ in
                self.outstanding -= 1
                if error == nil { self.succeeded += 1 } else { self.failed += 1 }
                next()
            }
    }
}
