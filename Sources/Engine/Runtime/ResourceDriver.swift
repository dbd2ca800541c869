// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
package import Reactor
import Wire

/// What the loop keeps for one resource: the machine, its files and its sockets.
struct ResourceDriver: ~Copyable {
    let name: String
    let nodeIdentifier: UInt8
    var core: Resource
    var actions = ActionQueue<ResourceAction>(capacity: 1024)
    /// Whether actions are being carried out: nested events only add to them.
    var isApplying = false

    var volumes: [UInt16: VolumeFiles] = [:] {
        didSet { self.noteDataFiles() }
    }
    /// By volume: the file of its data, which each read and write looks up.
    private(set) var dataFiles: [FileID?] = []
    var attaching: [UInt16: AttachProgress] = [:]
    /// Who attached a disk that is not yet in use.
    var attachReplies: [UInt16: @Sendable (AttachFailure?) -> Void] = [:]
    /// By slot of the peer's request: the buffer that its read fills.
    let readBuffers: UnsafeMutablePointer<BufferHandle>
    /// Reads for the peer that wait for memory.
    var readsWaiting = ActionQueue<WaitingRead>(capacity: 64)

    var peer: PeerConfiguration?
    var pairing: SocketPairing?
    var pairingActions = SocketPairing.Actions()
    var pairingSockets: [UInt32: PairingSocket] = [:]
    var listener: ListenerID?
    var data: UnsafeMutablePointer<PeerStream>?
    var meta: UnsafeMutablePointer<PeerStream>?
    var agreement = WireAgreement.none
    /// When the connection counts as lost because its meta socket has ended.
    var lossDeadline = Instant.distantFuture
    /// How the meta socket has ended.
    var metaSocketEnd = SocketEnd.closed
    /// Why the connection is StandAlone, as the log has it.
    var toldRefusal: ConnectionRefusal?
    var stateLog = StateLog()
    var ownChallenge = ShortBytes()
    /// Commands of the control path that await their answers.
    var replies: [UInt32: @Sendable (StateChangeCode) -> Void] = [:]
    var lastCommand: UInt32 = 0

    init(name: String, nodeIdentifier: UInt8, core: consuming Resource, readCapacity: Int) {
        self.name = name
        self.nodeIdentifier = nodeIdentifier
        self.core = core
        self.readBuffers = .allocate(capacity: readCapacity)
        self.readBuffers.initialize(repeating: .none, count: readCapacity)
    }

    deinit {
        self.readBuffers.deallocate()
        if let data = self.data { PeerStream.destroy(data) }
        if let meta = self.meta { PeerStream.destroy(meta) }
    }

    private mutating func noteDataFiles() {
        let end = self.volumes.keys.max().map { Int($0) + 1 } ?? 0
        self.dataFiles = (0..<end).map { self.volumes[UInt16($0)]?.data }
    }

    /// When the pairing of sockets wants to be told the time.
    var pairingDeadline: Instant {
        mutating get {
            switch self.pairing {
            case .some(let pairing): pairing.nextDeadline
            case .none: .distantFuture
            }
        }
    }

    var nextDeadline: Instant {
        mutating get { min(self.core.nextDeadline, self.pairingDeadline, self.lossDeadline) }
    }
}

/// A read for the peer that has no buffer yet.
struct WaitingRead: BitwiseCopyable {
    var volume: UInt16
    var token: IOToken
    var range: SectorRange
}

/// The open files of one volume.
struct VolumeFiles {
    var data: FileID
    /// The same as `data` for internal metadata.
    var metadata: FileID
    var layout: Layout
    /// What the superblock was at attach; what the core does not know of is kept.
    var superblock: Superblock
    let dataPath: String
    let metadataPath: String
    let placement: Placement
    /// The node that the bitmap is about, and its slot.
    let peerIdentifier: UInt8
    let bitmapSlot: Int
}

/// Where the peer is, and what both ends keep secret.
package struct PeerConfiguration: Sendable {
    package var name: String
    package var nodeIdentifier: UInt8
    package var local: SocketAddress
    package var remote: SocketAddress
    package var options: ConnectionOptions
    /// `cram-hmac-alg`; nil without authentication.
    package var digest: AuthenticationDigest?
    package var secret: [UInt8]

    package init(name: String, nodeIdentifier: UInt8, local: SocketAddress, remote: SocketAddress) {
        self.name = name
        self.nodeIdentifier = nodeIdentifier
        self.local = local
        self.remote = remote
        self.options = ConnectionOptions()
        self.digest = nil
        self.secret = []
    }
}

/// A socket that may become one of the two.
struct PairingSocket {
    var connection: ConnectionID
    /// Whether the pairing knows the socket: it was accepted, or its dial has succeeded.
    ///
    /// The kernel forgets that when the peer resets the connection.
    var isConnected = false
    /// Holds the first packet of an accepted socket.
    var header: UnsafeMutableRawBufferPointer?
}
