// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The `net` options of a connection, checked and in the engine's units.
package struct NetOptions: Sendable, Hashable {
    /// The peer's host name, as told by the administration tool.
    package var peerName: String?
    /// The transport; only `tcp` exists.
    package var transport: String
    /// When a write counts as replicated.
    package var replicationProtocol: ReplicationProtocol
    /// How long an acknowledgement may take.
    package var timeout: TimeSpan
    /// Timeouts without progress before the peer is given up; 0 never.
    package var knockOutCount: Int
    /// Pause between attempts to connect.
    package var connectInterval: TimeSpan
    /// Pause between keep-alive packets on an idle connection.
    package var pingInterval: TimeSpan
    /// How long a keep-alive answer may take.
    package var pingTimeout: TimeSpan
    /// How long TCP data may stay unacknowledged; zero leaves it to the kernel.
    package var acknowledgementTimeout: TimeSpan
    /// How long a socket may look dead before it is checked.
    package var socketCheckTimeout: TimeSpan
    /// Writes between two barriers, at most.
    package var epochWritesMaximum: Int
    /// Receive-side pages of 4 KiB, at most.
    package var receivePagesMaximum: Int
    /// Send buffer; zero leaves it to the kernel.
    package var sendBufferSize: ByteCount
    /// Receive buffer; zero leaves it to the kernel.
    package var receiveBufferSize: ByteCount
    /// Whether small packets wait for more.
    package var corksTCP: Bool
    /// Whether both nodes may be Primary.
    package var allowsTwoPrimaries: Bool
    /// Hash of the authentication.
    package var authenticationAlgorithm: String?
    /// Secret of the authentication.
    package var sharedSecret: String?
    /// Hash sent along with data.
    package var dataIntegrityAlgorithm: String?
    /// Hash of checksum-based resync.
    package var checksumAlgorithm: String?
    /// Whether checksums are used only after a Primary's crash.
    package var usesChecksumsAfterCrashOnly: Bool
    /// Hash of online verify.
    package var verifyAlgorithm: String?
    /// Split brain, nobody Primary.
    package var afterSplitBrain0: AfterSplitBrain0
    /// Split brain, one Primary.
    package var afterSplitBrain1: AfterSplitBrain1
    /// Split brain, two Primaries.
    package var afterSplitBrain2: AfterSplitBrain2
    /// Whether the three policies hold even if the history is unrelated to a split brain.
    package var alwaysResolvesSplitBrain: Bool
    /// A Primary would have to become sync target.
    package var roleResyncConflict: RoleResyncConflict
    /// What a full send path leads to.
    package var onCongestion: OnCongestion
    /// In-flight data that counts as congestion; zero never.
    package var congestionFill: ByteCount
    /// Hot activity-log extents that count as congestion.
    package var congestionExtents: Int
    /// Queued requests that count as congestion; 0 never.
    package var congestionRequests: Int
    /// Whether bitmaps travel compressed.
    package var compressesBitmap: Bool
    /// What is done about an unreachable peer.
    package var fencing: FencingPolicy
    /// Whether reads may be served by the peer.
    package var allowsRemoteRead: Bool

    /// Checks `options`; what is not given holds its default.
    package init(_ options: [(name: String, value: String)]) throws(OptionError) {
        let set = try OptionSet(.net, options)
        self.peerName = set.text("_name")
        self.transport = set.text("transport") ?? "tcp"
        self.replicationProtocol = set.word("protocol", else: .c)
        self.timeout = set.deciseconds("timeout")
        self.knockOutCount = set.count("ko-count")
        self.connectInterval = .seconds(set.number("connect-int"))
        self.pingInterval = .seconds(set.number("ping-int"))
        self.pingTimeout = set.deciseconds("ping-timeout")
        self.acknowledgementTimeout = .seconds(set.number("tcp_ack_timeout"))
        self.socketCheckTimeout = set.deciseconds("socket-check-timeout")
        self.epochWritesMaximum = set.count("max-epoch-size")
        self.receivePagesMaximum = set.count("max-buffers")
        self.sendBufferSize = set.bytes("sndbuf-size")
        self.receiveBufferSize = set.bytes("rcvbuf-size")
        self.corksTCP = set.isOn("tcp-cork")
        self.allowsTwoPrimaries = set.isOn("allow-two-primaries")
        self.authenticationAlgorithm = set.text("cram-hmac-alg")
        self.sharedSecret = set.text("shared-secret")
        self.dataIntegrityAlgorithm = set.text("data-integrity-alg")
        self.checksumAlgorithm = set.text("csums-alg")
        self.usesChecksumsAfterCrashOnly = set.isOn("csums-after-crash-only")
        self.verifyAlgorithm = set.text("verify-alg")
        self.afterSplitBrain0 = set.word("after-sb-0pri", else: .disconnect)
        self.afterSplitBrain1 = set.word("after-sb-1pri", else: .disconnect)
        self.afterSplitBrain2 = set.word("after-sb-2pri", else: .disconnect)
        self.alwaysResolvesSplitBrain = set.isOn("always-asbp")
        self.roleResyncConflict = set.word("rr-conflict", else: .disconnect)
        self.onCongestion = set.word("on-congestion", else: .block)
        self.congestionFill = set.bytes("congestion-fill")
        self.congestionExtents = set.count("congestion-extents")
        self.congestionRequests = set.count("congestion-highwater")
        self.compressesBitmap = set.isOn("use-rle")
        self.fencing = set.word("fencing", else: .dontCare)
        self.allowsRemoteRead = set.isOn("allow-remote-read")
    }
}

/// The options of a backing device.
package struct DiskOptions: Sendable, Hashable {
    /// The size to use in sectors; 0 is all there is.
    package var sizeSectors: UInt64
    /// What happens after an I/O error.
    package var onInputOutputError: OnInputOutputError
    /// Errors passed through before the disk is detached; 0 never.
    package var passThroughMaximum: Int
    /// Whether flushes are issued to the data device.
    package var flushesData: Bool
    /// Whether flushes are issued to the metadata device.
    package var flushesMetadata: Bool
    /// Whether epochs are ordered by waiting for their writes.
    package var drains: Bool
    /// Whether epochs are ordered by barriers.
    package var usesBarriers: Bool
    /// The minor after which this volume resyncs.
    package var resyncAfterMinor: Int?
    /// Hot extents of the activity log.
    package var activityLogExtents: Int
    /// Whether the activity log is kept.
    package var keepsActivityLog: Bool
    /// Whether discards of aligned blocks read back as zeroes.
    package var discardsZeroesIfAligned: Bool
    /// Whether write-same is not used.
    package var disablesWriteSame: Bool
    /// How long a backing device may take; zero is for ever.
    package var diskTimeout: TimeSpan
    /// Where reads go.
    package var readBalancing: ReadBalancing
    /// Granularity in which resync discards zeroes; zero is off.
    package var resyncDiscardGranularity: ByteCount
    /// Requests in the backing queue from which it is kicked.
    package var unplugWatermark: Int
    /// How the device is opened.
    package var inputOutputMode: InputOutputMode

    /// Checks `options`; what is not given holds its default.
    package init(_ options: [(name: String, value: String)]) throws(OptionError) {
        let set = try OptionSet(.disk, options)
        self.sizeSectors = set.number("size")
        self.onInputOutputError = set.word("on-io-error", else: .passThrough)
        self.passThroughMaximum = set.count("max-passthrough-count")
        self.flushesData = set.isOn("disk-flushes")
        self.flushesMetadata = set.isOn("md-flushes")
        self.drains = set.isOn("disk-drain")
        self.usesBarriers = set.isOn("disk-barrier")
        self.resyncAfterMinor =
            switch set.value("resync-after") {
            case .minor(let minor): minor
            case .number, .boolean, .word, .ratio, .unset: nil
            }
        self.activityLogExtents = set.count("al-extents")
        self.keepsActivityLog = set.isOn("al-updates")
        self.discardsZeroesIfAligned = set.isOn("discard-zeroes-if-aligned")
        self.disablesWriteSame = set.isOn("disable-write-same")
        self.diskTimeout = set.deciseconds("disk-timeout")
        self.readBalancing = set.word("read-balancing", else: .preferLocal)
        self.resyncDiscardGranularity = set.bytes("rs-discard-granularity")
        self.unplugWatermark = set.count("unplug-watermark")
        self.inputOutputMode = set.word("io-mode", else: .auto)
    }
}

/// The options of one volume as replicated to one peer.
package struct PeerDeviceOptions: Sendable, Hashable {
    /// Shares of replication and resync in what is sent.
    package struct Ratio: Sendable, Hashable {
        /// The share of replication.
        package var replication: UInt64
        /// The share of resync.
        package var resync: UInt64

        /// Creates the shares.
        package init(replication: UInt64, resync: UInt64) {
            self.replication = replication
            self.resync = resync
        }
    }

    /// Fixed resync rate and start of the variable one, per second.
    package var resyncRate: ByteCount
    /// Plan-ahead of the rate controller; zero is a fixed rate.
    package var planAhead: TimeSpan
    /// Delay that the controller aims at.
    package var delayTarget: TimeSpan
    /// Data in flight that the controller aims at; zero aims at the delay.
    package var fillTarget: ByteCount
    /// Ceiling per second.
    package var rateMaximum: ByteCount
    /// Floor per second; zero is no floor.
    package var rateMinimum: ByteCount
    /// Whether a bitmap is kept for the peer.
    package var keepsBitmap: Bool
    /// How replication and resync share the link.
    package var ratio: Ratio?
    /// 4 KiB blocks of one verify request.
    package var verifyBlocks: Int
    /// Pause between verify requests.
    package var verifyInterval: TimeSpan

    /// Checks `options`; what is not given holds its default.
    package init(_ options: [(name: String, value: String)]) throws(OptionError) {
        let set = try OptionSet(.peerDevice, options)
        self.resyncRate = set.bytes("resync-rate", of: .kibibytes)
        self.planAhead = set.deciseconds("c-plan-ahead")
        self.delayTarget = set.deciseconds("c-delay-target")
        self.fillTarget = set.bytes("c-fill-target", of: .sectors)
        self.rateMaximum = set.bytes("c-max-rate", of: .kibibytes)
        self.rateMinimum = set.bytes("c-min-rate", of: .kibibytes)
        self.keepsBitmap = set.isOn("bitmap")
        if case .ratio(let replication, let resync) = set.value("resync-ratio") {
            self.ratio = Ratio(replication: replication, resync: resync)
        }
        self.verifyBlocks = set.count("ov-req-num")
        self.verifyInterval = .milliseconds(set.number("ov-req-interval"))
    }
}

/// The options of a resource.
package struct ResourceOptions: Sendable, Hashable {
    /// Hexadecimal mask of the processors to use.
    package var processorMask: String?
    /// I/O without reachable data.
    package var onNoDataAccessible: OnNoData
    /// Whether a write-open promotes.
    package var autoPromotes: Bool
    /// How long an automatic promotion may take.
    package var autoPromoteTimeout: TimeSpan
    /// Whether the role survives a restart.
    package var persistsRole: Bool
    /// Data after which a peer acknowledgement is sent.
    package var peerAcknowledgementWindow: ByteCount
    /// Time after which a peer acknowledgement is sent.
    package var peerAcknowledgementDelay: TimeSpan
    /// Limit of a cluster-wide state change.
    package var twoPhaseTimeout: TimeSpan
    /// First pause before a cluster-wide change is tried again.
    package var twoPhaseRetryTimeout: TimeSpan
    /// Requests in processing.
    package var requestsMaximum: Int
    /// Queued write requests.
    package var queuedWritesMaximum: Int
    /// What reaching that bound leads to.
    package var onWriteCongestion: OnWriteCongestion
    /// Buffer that separates writes from the network; zero is off.
    package var accelerationBufferSize: ByteCount
    /// The largest write that goes through that buffer.
    package var accelerationBlockMaximum: ByteCount
    /// Nodes that must agree.
    package var quorum: Quorum
    /// I/O without quorum.
    package var onNoQuorum: OnNoData
    /// Up-to-date nodes that quorum needs.
    package var quorumMinimumRedundancy: Quorum
    /// What a suspended, outdated Primary does.
    package var onSuspendedPrimaryOutdated: OnSuspendedPrimaryOutdated
    /// TCP address on which the volumes are exported, besides the unix socket.
    package var nbdListen: SocketAddress?

    /// Checks `options`; what is not given holds its default.
    package init(_ options: [(name: String, value: String)]) throws(OptionError) {
        let set = try OptionSet(.resource, options)
        self.processorMask = set.text("cpu-mask")
        self.onNoDataAccessible = set.word("on-no-data-accessible", else: .error)
        self.autoPromotes = set.isOn("auto-promote")
        self.autoPromoteTimeout = set.deciseconds("auto-promote-timeout")
        self.persistsRole = set.isOn("persist-role")
        self.peerAcknowledgementWindow = set.bytes("peer-ack-window", of: .sectors)
        self.peerAcknowledgementDelay = .milliseconds(set.number("peer-ack-delay"))
        self.twoPhaseTimeout = set.deciseconds("twopc-timeout")
        self.twoPhaseRetryTimeout = set.deciseconds("twopc-retry-timeout")
        self.requestsMaximum = set.count("max-io-depth")
        self.queuedWritesMaximum = set.count("max-req-write-count")
        self.onWriteCongestion = set.word("on-req-write-congestion", else: .disconnect)
        self.accelerationBufferSize = set.bytes("accelbuf-size")
        self.accelerationBlockMaximum = set.bytes("max-accelbuf-blk-size")
        self.quorum = set.quorum("quorum")
        self.onNoQuorum = set.word("on-no-quorum", else: .suspend)
        self.quorumMinimumRedundancy = set.quorum("quorum-minimum-redundancy")
        self.onSuspendedPrimaryOutdated = set.word(
            "on-suspended-primary-outdated",
            else: .disconnect
        )
        self.nbdListen = set.text("nbd-listen").flatMap(SocketAddress.init)
    }
}
