// SPDX-License-Identifier: Apache-2.0

/// Fields that are printed together when one of them changes.
typealias EventGroup = [EventField]

/// What events say about each kind of object: what identifies it, and its attributes in groups.
///
/// Source: `reference/drbd-metadata.md` §9.3; bsr's own keys are the last groups.
struct EventFields {
    /// `--statistics`.
    let showsStatistics: Bool

    func groups(of resource: ResourceStatus, _ promotability: Promotability) -> [EventGroup] {
        let color = Highlight.role(resource.role, isOwn: true)
        return [
            [EventField("role", resource.role.text, color)],
            [EventField("suspended", resource.suspension.text)],
            [EventField("force-io-failures", resource.forcesIOFailures)],
            self.statistics([EventField("write-ordering", resource.writeOrdering.rawValue)]),
            self.groups(of: promotability),
            self.statistics(resource.pendingRequests.map { [EventField("req-pending", $0)] } ?? []),
        ]
    }

    func groups(of promotability: Promotability) -> EventGroup {
        [
            EventField("may_promote", promotability.mayPromote),
            EventField("promotion_score", promotability.score),
        ]
    }

    func groups(of device: DeviceStatus) -> [EventGroup] {
        let color = Highlight.disk(device.disk, client: device.client, isOwn: true)
        return [
            [
                EventField("backing_dev", device.backingText),
                EventField("disk", device.disk.text, color),
                EventField("client", device.client.rawValue),
                EventField("quorum", device.hasQuorum.word, device.hasQuorum ? nil : .ownBad),
            ]
        ] + self.statisticsGroups(of: device.statistics) + [
            device.diskErrors.map { [EventField("io-error", $0)] } ?? []
        ]
    }

    private func statisticsGroups(of statistics: DeviceStatistics?) -> [EventGroup] {
        guard self.showsStatistics, let statistics else { return [[], [], [], []] }
        return [
            [
                EventField("size", statistics.size),
                EventField("read", statistics.read),
                EventField("written", statistics.written),
                EventField("al-writes", statistics.activityLogWrites),
                EventField("bm-writes", statistics.bitmapWrites),
                EventField("upper-pending", statistics.upperPending),
                EventField("lower-pending", statistics.lowerPending),
            ],
            [EventField("al-suspended", statistics.isActivityLogSuspended)],
            [EventField("blocked", statistics.blocked)],
            statistics.activityLogUsed.map { [EventField("al-used", $0)] } ?? [],
        ]
    }

    func groups(of connection: ConnectionStatus) -> [EventGroup] {
        let color = Highlight.connection(connection.state)
        let roleColor = Highlight.role(connection.peerRole, isOwn: false)
        return [
            [EventField("connection", connection.state.rawValue, color)],
            [EventField("role", connection.peerRole.text, roleColor)],
            self.statistics([EventField("congested", connection.isCongested)]),
            self.statistics([
                EventField("ap-in-flight", connection.applicationInFlight),
                EventField("rs-in-flight", connection.resyncInFlight),
            ]),
            connection.problem.map { [EventField("error", $0.rawValue)] } ?? [],
        ]
    }

    func groups(of peer: PeerDeviceStatus, size: UInt64?) -> [EventGroup] {
        let color = Highlight.disk(peer.disk, client: peer.client, isOwn: false)
        let figures = peer.statistics.flatMap {
            ResyncFigures($0, in: peer.replication, deviceSize: size)
        }
        return [
            [
                EventField(
                    "replication",
                    peer.replication.rawValue,
                    Highlight.replication(peer.replication)
                )
            ],
            [
                EventField("peer-disk", peer.disk.text, color),
                EventField("peer-client", peer.client.rawValue),
            ],
            [EventField("resync-suspended", peer.resyncSuspension.text)],
            figures.map { [EventField("done", $0.done.fixed(2))] } ?? [],
            self.statisticsGroup(of: peer.statistics, figures),
        ]
    }

    private func statisticsGroup(of statistics: PeerDeviceStatistics?, _ figures: ResyncFigures?)
        -> EventGroup
    {
        guard self.showsStatistics, let statistics else { return [] }
        var group = [
            EventField("received", statistics.received),
            EventField("sent", statistics.sent),
            EventField("out-of-sync", statistics.outOfSync),
            EventField("pending", statistics.pending),
            EventField("unacked", statistics.unacknowledged),
        ]
        if let figures, let resync = statistics.resync {
            group.append(EventField("dbdt1", resync.window1.mebibytesPerSecond.fixed(2)))
            group.append(EventField("eta", figures.secondsLeft.fixed(0)))
        }
        return group
    }

    func groups(of path: PathStatus) -> [EventGroup] {
        [[EventField("established", path.isEstablished)]]
    }

    private func statistics(_ group: EventGroup) -> EventGroup {
        self.showsStatistics ? group : []
    }
}

extension ResourceStatus {
    /// The keys by which events name the resource.
    var eventIdentity: [EventField] { [EventField("name", self.name)] }

    /// The keys by which events name a connection.
    func eventIdentity(of connection: ConnectionStatus) -> [EventField] {
        self.eventIdentity + [
            EventField("peer-node-id", connection.peerNodeID),
            EventField("conn-name", connection.name),
        ]
    }
}
