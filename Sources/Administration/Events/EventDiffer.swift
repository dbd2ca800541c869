// SPDX-License-Identifier: Apache-2.0

/// Turns successive states of resources into the lines of `events2`.
///
/// Keeps the last state of each resource. The order of the lines of one update, and that a change
/// of promotability is told before the line that causes it, are DRBD's
/// (`reference/drbd-metadata.md` §9.3).
package struct EventDiffer {
    /// What is printed.
    package struct Options: Sendable, Hashable {
        /// `--statistics`: counters too.
        package var showsStatistics = false
        /// `--full`: all attributes of an object that has changed.
        package var isFull = false

        /// Creates the options of plain `events2`.
        package init() {}
    }

    private let options: Options
    private var known: [String: ResourceStatus] = [:]
    private var isInitial = true

    /// Creates a differ that knows nothing yet.
    package init(_ options: Options = Options()) { self.options = options }

    /// The last state of each resource, by name.
    package var resources: [ResourceStatus] { self.known.values.sorted { $0.name < $1.name } }

    /// The lines that follow from what the engine reported.
    package mutating func receive(_ payload: EnginePayload) -> [EventRecord] {
        switch payload {
        case .status(let status): return self.receive(status)
        case .removed(let name, let time):
            guard let old = self.known.removeValue(forKey: name), !self.isInitial else { return [] }
            return self.changes(from: old, to: nil, at: time)
        case .initialStateEnd(let time): return self.initialState(at: time)
        case .helper(let helper): return [Self.record(of: helper)]
        case .skipped, .configuration, .generations: return []
        }
    }

    /// The lines that tell the present state again, as updates (`--poll`).
    package func repeated(at time: EventTime) -> [EventRecord] {
        self.existing(at: time).map { record in
            var record = record
            record.action = .change
            return record
        }
    }

    private mutating func receive(_ status: TimedStatus) -> [EventRecord] {
        let new = status.resource
        let old = self.known.updateValue(new, forKey: new.name)
        return self.isInitial ? [] : self.changes(from: old, to: new, at: status.time)
    }

    private mutating func initialState(at time: EventTime) -> [EventRecord] {
        guard self.isInitial else { return [] }
        self.isInitial = false
        let end = EventRecord(
            time: time,
            action: .exists,
            object: .end,
            identity: [],
            attributes: []
        )
        return self.existing(at: time) + [end]
    }

    /// All resources, then the other objects of each.
    private func existing(at time: EventTime) -> [EventRecord] {
        var objects: [EventRecord] = []
        for resource in self.resources {
            objects += self.changes(from: nil, to: resource, at: time).filter {
                $0.object != .resource
            }
        }
        let fields = EventFields(showsStatistics: self.options.showsStatistics)
        let resources = self.resources.map { resource in
            EventRecord(
                time: time,
                action: .exists,
                object: .resource,
                identity: resource.eventIdentity,
                attributes: fields.groups(of: resource, Promotability(resource)).flatMap(\.self)
            )
        }
        return resources
            + objects.map { record in
                var record = record
                record.action = .exists
                return record
            }
    }

    /// The lines between two states of one resource; nil stands for a resource that is not there.
    package func changes(from old: ResourceStatus?, to new: ResourceStatus?, at time: EventTime)
        -> [EventRecord]
    {
        var update = ResourceUpdate(self.options, time)
        update.run(from: old, to: new)
        return update.records
    }

    private static func record(of helper: HelperEvent) -> EventRecord {
        var identity = [EventField("name", helper.resource)]
        if let peer = helper.peer {
            identity.append(EventField("peer-node-id", peer.nodeID))
            identity.append(EventField("conn-name", peer.name))
        }
        if let volume = helper.volume { identity.append(EventField("volume", volume)) }
        if let minor = helper.minor { identity.append(EventField("minor", minor)) }
        var attributes = [EventField("helper", helper.helper)]
        if let status = helper.status { attributes.append(EventField("status", status)) }
        return EventRecord(
            time: helper.time,
            action: helper.status == nil ? .call : .response,
            object: .helper,
            identity: identity,
            attributes: attributes
        )
    }
}
