// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The times during which a node was Primary, and which of them each replica's data belongs to.
///
/// A session starts with the data that the node has access to when it becomes Primary and goes on
/// with the writes of its application; it ends with the role or the process.
package final class Sessions {
    struct Session {
        let node: Int
        /// The session that it goes on with after the node has lost a disk and got it back.
        let root: Int
        /// By volume: the content at its start.
        let base: [SectorContent]
        /// By volume: the newest write of each sector that was completed.
        var floors: [SectorContent]
    }

    private(set) var all: [Session] = []
    /// By node: the session that it is Primary in.
    private(set) var current: [Int?] = [nil, nil]
    /// By node and volume: the session of which its data is a cut; nil if of none.
    private(set) var ofReplica: [[Int?]]
    /// By node and volume: volumes with the same number are of the same moment.
    private(set) var moments: [[Int]]
    private var lastMoment = 0

    init(volumes: Int) {
        self.ofReplica = Array(repeating: Array(repeating: nil, count: volumes), count: 2)
        self.moments = Array(repeating: Array(repeating: 0, count: volumes), count: 2)
    }

    /// `node` became Primary with these contents; `replicas` have the same data.
    func begin(_ node: Int, _ base: [SectorContent], replicas: [(node: Int, volume: Int)]) {
        let floors = base.map { SectorContent(sectorCount: $0.sectorCount, initial: 0) }
        self.add(Session(node: node, root: self.all.count, base: base, floors: floors), replicas)
    }

    /// The session of `node` goes on with other content of one volume.
    func rebase(
        _ node: Int,
        _ volume: Int,
        _ content: SectorContent,
        replicas: [(node: Int, volume: Int)]
    ) {
        guard let session = self.current[node].map({ self.all[$0] }) else { return }
        var base = session.base
        base[volume] = content
        var floors = session.floors
        floors[volume] = SectorContent(sectorCount: content.sectorCount, initial: 0)
        self.add(Session(node: node, root: session.root, base: base, floors: floors), replicas)
    }

    private func add(_ session: Session, _ replicas: [(node: Int, volume: Int)]) {
        self.all.append(session)
        self.current[session.node] = self.all.count - 1
        self.lastMoment += 1
        for replica in replicas {
            self.ofReplica[replica.node][replica.volume] = self.all.count - 1
            self.moments[replica.node][replica.volume] = self.lastMoment
        }
    }

    func end(_ node: Int) { self.current[node] = nil }

    /// A write of the session was completed.
    func completed(_ content: Content, _ write: WriteTable.Write) {
        self.all[write.session].floors[Int(write.volume)].update(write.range) { max($1, content) }
    }

    /// `target` has the same data as `source` now.
    func synchronised(_ target: Int, _ volume: Int, from source: Int) {
        self.ofReplica[target][volume] = self.current[source] ?? self.ofReplica[source][volume]
        self.separated(target, volume)
    }

    /// The volume of `node` goes on by itself, maybe before the others.
    func separated(_ node: Int, _ volume: Int) {
        self.lastMoment += 1
        self.moments[node][volume] = self.lastMoment
    }

    /// All volumes of `node` follow the other one's.
    func follow(_ node: Int) {
        guard Set(self.moments[node]).count > 1 else { return }
        self.lastMoment += 1
        for volume in self.moments[node].indices { self.moments[node][volume] = self.lastMoment }
    }

    /// The data of a replica is no cut of any session: it has lost its cache.
    func lostOrder(_ node: Int, _ volume: Int) { self.ofReplica[node][volume] = nil }
}
