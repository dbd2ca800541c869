// SPDX-License-Identifier: Apache-2.0

/// The control protocol of `bsrd`.
package enum EngineControl: ControlService {
    package typealias Request = EngineRequest
    package typealias Payload = EnginePayload

    package static let daemonName = "bsrd"
}

/// An option as it was written: the engine checks name and value by its option tables.
package struct OptionText: Codable, Sendable, Hashable {
    /// The name without dashes.
    package var name: String
    /// The value; `yes` for an option that was written without one.
    package var value: String

    /// Creates an option.
    package init(_ name: String, _ value: String = "yes") {
        self.name = name
        self.value = value
    }
}

/// The peer of a resource.
package struct PeerAddress: Codable, Sendable, Hashable {
    /// The resource's name.
    package var resource: String
    /// The peer's node id.
    package var peerNodeID: Int

    /// Creates an address.
    package init(_ resource: String, _ peerNodeID: Int) {
        self.resource = resource
        self.peerNodeID = peerNodeID
    }
}

/// A volume towards a peer.
package struct PeerDeviceAddress: Codable, Sendable, Hashable {
    /// The peer.
    package var peer: PeerAddress
    /// The volume number.
    package var volume: Int

    /// Creates an address.
    package init(_ peer: PeerAddress, _ volume: Int) {
        self.peer = peer
        self.volume = volume
    }
}

/// The arguments of `attach`.
package struct AttachArguments: Codable, Sendable, Hashable {
    /// The minor number.
    package var minor: Int
    /// The path of the data.
    package var disk: String
    /// The path of the metadata; the same as `disk` if it is internal.
    package var metaDisk: String
    /// `internal`, `flexible` or a number.
    package var index: String
    /// The disk options, `size` among them.
    package var options: [OptionText]

    /// Creates the arguments.
    package init(
        minor: Int,
        disk: String,
        metaDisk: String,
        index: String,
        options: [OptionText] = []
    ) {
        self.minor = minor
        self.disk = disk
        self.metaDisk = metaDisk
        self.index = index
        self.options = options
    }
}

/// A verb of `bsrsetup` with its arguments, as `bsrd` receives it.
///
/// Verbs that only look at the state (`role`, `cstate`, `dstate`, `wait-…`) are not here: the tool
/// derives them from ``status(resource:)`` and ``events(resource:)``.
package enum EngineRequest: Codable, Sendable, Hashable {
    // Making and removing objects.
    case newResource(name: String, nodeID: Int, options: [OptionText])
    case deleteResource(name: String)
    /// Takes one resource or, if nil, all of them down.
    case down(resource: String?)
    case newMinor(resource: String, minor: Int, volume: Int, options: [OptionText])
    case deleteMinor(minor: Int)
    case newPeer(PeerAddress, options: [OptionText])
    case deletePeer(PeerAddress, force: Bool)
    case forgetPeer(PeerAddress)
    case newPath(PeerAddress, local: String, remote: String)
    case deletePath(PeerAddress, local: String, remote: String)

    // Options. With `setDefaults`, what is not named returns to its default.
    case resourceOptions(resource: String, setDefaults: Bool, options: [OptionText])
    case diskOptions(minor: Int, setDefaults: Bool, options: [OptionText])
    case netOptions(PeerAddress, setDefaults: Bool, options: [OptionText])
    case peerDeviceOptions(PeerDeviceAddress, setDefaults: Bool, options: [OptionText])

    // States.
    case attach(AttachArguments)
    case detach(minor: Int, force: Bool, diskless: Bool)
    case connect(PeerAddress, discardMyData: Bool, tentative: Bool)
    case disconnect(PeerAddress, force: Bool)
    case primary(resource: String, force: Bool)
    case secondary(resource: String, force: Bool)
    case outdate(minor: Int)
    case invalidate(minor: Int, syncFromPeerNodeID: Int?, resetBitmap: Bool)
    case invalidateRemote(PeerDeviceAddress, resetBitmap: Bool)
    case pauseSync(PeerDeviceAddress)
    case resumeSync(PeerDeviceAddress)
    case suspendIO(minor: Int)
    case resumeIO(minor: Int)
    case newCurrentUUID(minor: Int, clearBitmap: Bool, forceResync: Bool)
    case resize(minor: Int, options: [OptionText])
    case checkResize(minor: Int)
    case verify(PeerDeviceAddress, options: [OptionText])

    // Looking. Nil stands for all resources.
    /// The status: one ``EnginePayload/status(_:)`` for each resource.
    case status(resource: String?)
    /// The status of each resource, ``EnginePayload/initialStateEnd``, then every change until the
    /// client leaves.
    case events(resource: String?)
    /// The configuration: one ``EnginePayload/configuration(_:)`` for each resource.
    case configuration(resource: String?)
    /// One ``EnginePayload/generations(_:)``.
    case generations(PeerDeviceAddress)
}

/// What a reply of `bsrd` carries.
package enum EnginePayload: Codable, Sendable, Hashable {
    /// A resource as it is now; among events: it is new or has changed.
    case status(TimedStatus)
    /// A resource is gone.
    case removed(name: String, time: EventTime)
    /// The initial state is complete; what follows are changes.
    case initialStateEnd(time: EventTime)
    /// Changes were lost because the client did not read them.
    case skipped(count: Int, time: EventTime)
    /// A handler was called or has ended.
    case helper(HelperEvent)
    /// What is configured for a resource.
    case configuration(ResourceConfiguration)
    /// The data generation identifiers that were asked for.
    case generations(GenerationStatus)
}

/// A resource's status and when it was taken.
package struct TimedStatus: Codable, Sendable, Hashable {
    /// When it was taken.
    package var time: EventTime
    /// The status.
    package var resource: ResourceStatus

    /// Creates a status that was taken at `time`.
    package init(_ resource: ResourceStatus, at time: EventTime) {
        self.time = time
        self.resource = resource
    }
}

/// A point in time as microseconds since 1970-01-01 00:00 UTC.
package struct EventTime: Codable, Sendable, Hashable {
    /// Microseconds since 1970-01-01 00:00 UTC.
    package var microseconds: Int64

    /// Creates a time.
    package init(microseconds: Int64) { self.microseconds = microseconds }
}

/// A handler that was called or has ended.
package struct HelperEvent: Codable, Sendable, Hashable {
    /// When it happened.
    package var time: EventTime
    /// The resource's name.
    package var resource: String
    /// The connection it is about: the peer's node id and the connection's name.
    package var peer: HelperPeer?
    /// The volume number it is about.
    package var volume: Int?
    /// The minor number it is about.
    package var minor: Int?
    /// The handler's name.
    package var helper: String
    /// Its exit status; nil while it runs.
    package var status: Int?

    /// Creates an event about a resource as a whole.
    package init(_ helper: String, of resource: String, at time: EventTime, status: Int? = nil) {
        self.time = time
        self.resource = resource
        self.helper = helper
        self.status = status
    }
}

/// The connection that a handler is about.
package struct HelperPeer: Codable, Sendable, Hashable {
    /// The peer's node id.
    package var nodeID: Int
    /// The connection's name.
    package var name: String

    /// Creates the pair.
    package init(nodeID: Int, name: String) {
        self.nodeID = nodeID
        self.name = name
    }
}
