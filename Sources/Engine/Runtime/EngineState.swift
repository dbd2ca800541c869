// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// What a connection of the reactor belongs to.
enum ConnectionOwner: BitwiseCopyable {
    case none
    /// An NBD client, by its place in the table of clients.
    case client(Int)
    /// A socket of a resource that looks for its peer.
    case pairing(resource: Int)
    /// A socket of an established connection.
    case peer(resource: Int, PacketSocket)
}

/// What a file of the reactor belongs to.
struct FileOwner: BitwiseCopyable {
    var resource: Int
    var volume: UInt16
}

/// A part of an NBD request: what one request of the core carries.
struct Piece: BitwiseCopyable {
    /// The client's place; its session's slot of the request.
    var client: Int
    var slot: UInt32
    var buffer: BufferHandle
    var byteCount: UInt32
    /// The next part of the same request.
    var next: UInt32

    static var none: UInt32 { .max }
}

/// Everything that the loop's events touch, out of reach of run-time exclusivity checks.
struct EngineState: ~Copyable {
    var resources = PlaceTable<ResourceDriver>(capacity: EngineConfiguration.resourceMaximum)
    var clients = PlaceTable<NBDClient>(capacity: EngineConfiguration.clientMaximum)
    var pieces = SlotTable<Piece>(capacity: Self.pieceMaximum)
    var metadataBlocks = MetadataBlocks()
    let owners: UnsafeMutablePointer<ConnectionOwner>
    let fileOwners: UnsafeMutablePointer<FileOwner>
    /// Where the head of a packet or reply is written before it is queued.
    let head: UnsafeMutableRawBufferPointer
    /// Control path.
    var nbdListeners: [ListenerID] = []
    /// Those of `nbd-listen` in the options of resources, by address; all are in `nbdListeners`.
    var resourceListeners: [String: ListenerID] = [:]
    var peerListeners: [UInt32: Int] = [:]
    var directory = ExportDirectory([])
    var random: SeededRandom
    /// Memory of connections that are being closed, by slot.
    var retiredStreams: [UInt32: UnsafeMutablePointer<PeerStream>] = [:]
    var retiredMemory: [UInt32: UnsafeMutableRawBufferPointer] = [:]
    var nextClientDeadline = Instant.distantFuture
    /// Whether a client or a peer waits for a buffer.
    var hasBufferWaiters = false
    var isStopping = false
    /// Other threads have asked for something in this turn.
    var hasMessages = false
    var stopDeadline = Instant.distantFuture

    /// Parts of all clients' requests: each is one operation of a disk at most.
    static var pieceMaximum: Int { 65_536 }

    private static var headByteCount: Int {
        max(ReplicationLimits.headByteCount, NBDLimits.replyHeadByteCountMaximum)
    }

    init(connections: Int, files: Int, seed: UInt64) {
        self.random = SeededRandom(seed: seed)
        self.owners = .allocate(capacity: connections)
        self.owners.initialize(repeating: .none, count: connections)
        self.head = .allocate(byteCount: Self.headByteCount, alignment: 16)
        self.fileOwners = .allocate(capacity: files)
        self.fileOwners.initialize(repeating: FileOwner(resource: 0, volume: 0), count: files)
    }

    deinit {
        self.owners.deallocate()
        self.fileOwners.deallocate()
        self.head.deallocate()
        for stream in self.retiredStreams.values { PeerStream.destroy(stream) }
    }
}
