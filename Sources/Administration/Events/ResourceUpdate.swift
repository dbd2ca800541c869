// SPDX-License-Identifier: Apache-2.0

/// The lines between two states of one resource, in the making.
///
/// Walks from the old state to the new one, one object at a time, so that promotability is that of
/// the moment of each line.
struct ResourceUpdate {
    private(set) var records: [EventRecord] = []

    private let options: EventDiffer.Options
    private let fields: EventFields
    private let time: EventTime
    /// The state after the lines so far.
    private var current = ResourceStatus(name: "", nodeID: 0)
    private var toldPromotability: Promotability?

    init(_ options: EventDiffer.Options, _ time: EventTime) {
        self.options = options
        self.fields = EventFields(showsStatistics: options.showsStatistics)
        self.time = time
    }

    mutating func run(from old: ResourceStatus?, to new: ResourceStatus?) {
        guard let base = old ?? new else { return }
        if let old {
            self.current = old
            self.toldPromotability = Promotability(old)
        } else {
            self.current = ResourceStatus(name: base.name, nodeID: base.nodeID)
        }
        if let new { self.updateResource(new) }
        let target = new ?? ResourceStatus(name: base.name, nodeID: base.nodeID)
        let isLeaving = new == nil
        for connection in target.connections { self.update(connection) }
        for device in target.devices { self.update(device) }
        for connection in self.current.connections {
            let next = target.connections.first { $0.peerNodeID == connection.peerNodeID }
            self.updateContents(of: connection, to: next, isLeaving)
        }
        for connection in self.current.connections
        where !target.connections.contains(where: { $0.peerNodeID == connection.peerNodeID }) {
            let identity = self.current.eventIdentity(of: connection)
            self.current.connections.removeAll { $0.peerNodeID == connection.peerNodeID }
            self.destroy(.connection, identity, isLeaving)
        }
        for device in self.current.devices
        where !target.devices.contains(where: { $0.volume == device.volume }) {
            self.current.devices.removeAll { $0.volume == device.volume }
            let identity = self.current.eventIdentity + [EventField("volume", device.volume)]
            self.destroy(.device, identity, isLeaving)
        }
        if isLeaving { self.destroy(.resource, self.current.eventIdentity, true) }
    }

    // MARK: Objects

    private mutating func updateResource(_ new: ResourceStatus) {
        let told = self.toldPromotability
        let before = told.map { self.fields.groups(of: self.current, $0) }
        var next = new
        next.devices = self.current.devices
        next.connections = self.current.connections
        self.current = next
        let promotability = Promotability(next)
        let after = self.fields.groups(of: next, promotability)
        self.toldPromotability = promotability
        self.append(.resource, next.eventIdentity, from: before, to: after)
    }

    private mutating func update(_ new: ConnectionStatus) {
        let index = self.current.connections.firstIndex { $0.peerNodeID == new.peerNodeID }
        let before = index.map { self.fields.groups(of: self.current.connections[$0]) }
        var next = new
        next.peerDevices = index.map { self.current.connections[$0].peerDevices } ?? []
        next.paths = index.map { self.current.connections[$0].paths } ?? []
        if let index {
            self.current.connections[index] = next
        } else {
            self.current.connections.append(next)
        }
        let identity = self.current.eventIdentity(of: next)
        self.append(.connection, identity, from: before, to: self.fields.groups(of: next))
    }

    private mutating func update(_ new: DeviceStatus) {
        let index = self.current.devices.firstIndex { $0.volume == new.volume }
        let before = index.map { self.fields.groups(of: self.current.devices[$0]) }
        if let index {
            self.current.devices[index] = new
        } else {
            self.current.devices.append(new)
        }
        let identity =
            self.current.eventIdentity
            + [EventField("volume", new.volume), EventField("minor", new.minor)]
        self.append(.device, identity, from: before, to: self.fields.groups(of: new))
    }

    /// Peer devices and paths of a connection; `target` is nil if the connection goes.
    private mutating func updateContents(
        of connection: ConnectionStatus,
        to target: ConnectionStatus?,
        _ isLeaving: Bool
    ) {
        let identity = self.current.eventIdentity(of: connection)
        guard
            let index = self.current.connections.firstIndex(where: {
                $0.peerNodeID == connection.peerNodeID
            })
        else { return }
        for peer in target?.peerDevices ?? [] { self.update(peer, in: index, identity) }
        for path in target?.paths ?? [] { self.update(path, in: index, identity) }
        for path in self.current.connections[index].paths
        where target?.paths.contains(where: { $0.isSamePair(as: path) }) != true {
            self.current.connections[index].paths.removeAll { $0.isSamePair(as: path) }
            self.destroy(.path, identity + path.eventIdentity, isLeaving)
        }
        for peer in self.current.connections[index].peerDevices
        where target?.peerDevices.contains(where: { $0.volume == peer.volume }) != true {
            self.current.connections[index].peerDevices.removeAll { $0.volume == peer.volume }
            self.destroy(.peerDevice, identity + [EventField("volume", peer.volume)], isLeaving)
        }
    }

    private mutating func update(
        _ new: PeerDeviceStatus,
        in connection: Int,
        _ identity: [EventField]
    ) {
        let size = self.current.sizeOfVolume(new.volume)
        let known = self.current.connections[connection].peerDevices
        let index = known.firstIndex { $0.volume == new.volume }
        let before = index.map { self.fields.groups(of: known[$0], size: size) }
        if let index {
            self.current.connections[connection].peerDevices[index] = new
        } else {
            self.current.connections[connection].peerDevices.append(new)
        }
        self.append(
            .peerDevice,
            identity + [EventField("volume", new.volume)],
            from: before,
            to: self.fields.groups(of: new, size: size)
        )
    }

    private mutating func update(_ new: PathStatus, in connection: Int, _ identity: [EventField]) {
        let known = self.current.connections[connection].paths
        let index = known.firstIndex { $0.isSamePair(as: new) }
        let before = index.map { self.fields.groups(of: known[$0]) }
        if let index {
            self.current.connections[connection].paths[index] = new
        } else {
            self.current.connections[connection].paths.append(new)
        }
        self.append(
            .path,
            identity + new.eventIdentity,
            from: before,
            to: self.fields.groups(of: new)
        )
    }

    // MARK: Lines

    /// Tells a new object (`before` is nil) or what has changed of a known one.
    private mutating func append(
        _ object: EventRecord.Object,
        _ identity: [EventField],
        from before: [EventGroup]?,
        to after: [EventGroup]
    ) {
        var attributes: [EventField] = []
        let hasChanged = before != after
        for (index, group) in after.enumerated() {
            let old = before?[index]
            guard old != group || (self.options.isFull && hasChanged) else { continue }
            attributes += group.map { field in
                var field = field
                field.old = old?.first { $0.key == field.key }?.value
                return field
            }
        }
        guard before == nil || !attributes.isEmpty else { return }
        if object != .resource { self.tellPromotability() }
        self.append(before == nil ? .create : .change, object, identity, attributes)
    }

    private mutating func destroy(
        _ object: EventRecord.Object,
        _ identity: [EventField],
        _ isLeaving: Bool
    ) {
        // Nobody will promote a resource that is on its way out.
        if !isLeaving { self.tellPromotability() }
        self.append(.destroy, object, identity, [])
    }

    private mutating func tellPromotability() {
        let promotability = Promotability(self.current)
        guard let told = self.toldPromotability, told != promotability else { return }
        self.toldPromotability = promotability
        let old = self.fields.groups(of: told)
        let attributes = zip(self.fields.groups(of: promotability), old).map { field, old in
            var field = field
            field.old = old.value
            return field
        }
        self.append(.change, .resource, self.current.eventIdentity, attributes)
    }

    private mutating func append(
        _ action: EventRecord.Action,
        _ object: EventRecord.Object,
        _ identity: [EventField],
        _ attributes: [EventField]
    ) {
        self.records.append(
            EventRecord(
                time: self.time,
                action: action,
                object: object,
                identity: identity,
                attributes: attributes
            )
        )
    }
}

extension PathStatus {
    /// The keys by which events name the path.
    fileprivate var eventIdentity: [EventField] {
        [EventField("local", self.local), EventField("peer", self.peer)]
    }

    fileprivate func isSamePair(as other: Self) -> Bool {
        self.local == other.local && self.peer == other.peer
    }
}
