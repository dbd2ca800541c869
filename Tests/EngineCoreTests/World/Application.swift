// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// The application of one node: submits requests and checks what it is told.
final class Application {
    private unowned let world: World
    private let ledger: Ledger
    let node: Int
    private(set) var outstanding = 0
    private(set) var succeeded = 0
    private(set) var failed = 0
    private var inUse: [UInt16: Int] = [:]

    init(_ world: World, _ ledger: Ledger, node: Int) {
        self.world = world
        self.ledger = ledger
        self.node = node
    }

    /// The node is gone, and so is who used it.
    func died() {
        self.outstanding = 0
        self.inUse = [:]
    }

    // MARK: Requests

    func write(
        _ volume: UInt16,
        _ range: SectorRange,
        kind: ClientRequest.Kind = .write,
        isForcedUnitAccess: Bool = false
    ) {
        let content = self.ledger.begin(volume, range, isZeroes: kind != .write)
        self.submit(
            volume,
            kind,
            range,
            content: content,
            isForcedUnitAccess: isForcedUnitAccess
        ) { [self] error, _ in
            guard error == nil else { return }
            self.ledger.completed(content)
            self.promise(volume, content, isForcedUnitAccess)
        }
    }

    /// What a completed write promises, by protocol and by who has the data.
    private func promise(_ volume: UInt16, _ content: Content, _ isForced: Bool) {
        let state = self.world.state(self.node, volume)
        let isLocal = state.disk == .upToDate || state.disk == .inconsistent
        if isLocal {
            self.ledger.promise(content, on: self.node, isForced ? .power : .process)
        }
        guard self.world.isReplicating(self.node, volume) else { return }
        switch self.world.configuration.replicationProtocol {
        case .a: break
        case .b: self.ledger.promise(content, on: 1 - self.node, .memory)
        case .c: self.ledger.promise(content, on: 1 - self.node, isForced ? .power : .process)
        }
    }

    func read(_ volume: UInt16, _ range: SectorRange) {
        let floors = (Int(range.start)..<Int(range.end)).map {
            self.ledger.floor(self.node, volume, $0)
        }
        self.submit(volume, .read, range) { [self] error, content in
            guard error == nil, let content else { return }
            for (offset, floor) in floors.enumerated() {
                let sector = Int(range.start) + offset
                let found = content[offset]
                if let fault = self.ledger.fault(volume, sector, found, floor: floor) {
                    return self.world.violated(
                        "read on node \(self.node) volume \(volume) sector \(sector) \(fault)"
                    )
                }
            }
        }
    }

    func flush(_ volume: UInt16) {
        let own = self.ledger.floors(self.node, volume, .memory)
        let peer = self.ledger.floors(1 - self.node, volume, .memory)
        let reachesPeer =
            self.world.configuration.replicationProtocol == .c
            && self.world.isReplicating(self.node, volume)
        self.submit(volume, .flush, SectorRange(start: 0, count: 0)) { [self] error, _ in
            guard error == nil else { return }
            self.ledger.flushed(self.node, volume, own)
            if reachesPeer, self.world.isReplicating(self.node, volume) {
                self.ledger.flushed(1 - self.node, volume, peer)
            }
        }
    }

    private func submit(
        _ volume: UInt16,
        _ kind: ClientRequest.Kind,
        _ range: SectorRange,
        content: Content = 0,
        isForcedUnitAccess: Bool = false,
        then completion: @escaping (ClientError?, [Content]?) -> Void
    ) {
        let node = self.world.nodes[self.node]
        self.outstanding += 1
        node.request(
            volume,
            kind,
            range,
            content: content,
            isForcedUnitAccess: isForcedUnitAccess
        ) { [self] error, content in
            self.outstanding -= 1
            if error == nil { self.succeeded += 1 } else { self.failed += 1 }
            completion(error, content)
        }
    }
}
