// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// P_CONNECTION_FEATURES: what one end can speak (§4.2).
package struct ConnectionFeatures: Hashable, Sendable, BitwiseCopyable {
    package var versionMinimum: UInt32
    /// 0 means the same as `versionMinimum`.
    package var versionMaximum: UInt32
    package var flags: FeatureFlags

    /// Creates an offer.
    package init(versionMinimum: UInt32, versionMaximum: UInt32, flags: FeatureFlags) {
        self.versionMinimum = versionMinimum
        self.versionMaximum = versionMaximum
        self.flags = flags
    }

    /// What this implementation announces: version 101 only, with every feature.
    package static let announced = Self(
        versionMinimum: ReplicationLimits.versionMaximum,
        versionMaximum: ReplicationLimits.versionMaximum,
        flags: .announced
    )

    /// What both ends may use.
    ///
    /// - Throws: ``WireError/noCommonVersion(peerMinimum:peerMaximum:)``: StandAlone.
    package func agreement(with peer: Self) throws(WireError) -> WireAgreement {
        let ownMaximum = self.versionMaximum == 0 ? self.versionMinimum : self.versionMaximum
        let peerMaximum = peer.versionMaximum == 0 ? peer.versionMinimum : peer.versionMaximum
        guard ownMaximum >= peer.versionMinimum, self.versionMinimum <= peerMaximum else {
            throw .noCommonVersion(peerMinimum: peer.versionMinimum, peerMaximum: peerMaximum)
        }
        return WireAgreement(
            version: min(ownMaximum, peerMaximum),
            features: self.flags.intersection(peer.flags)
        )
    }
}

/// P_PROTOCOL and P_PROTOCOL_UPDATE: what both ends must have configured alike (§4.4).
package struct ProtocolParameters: Hashable, Sendable, BitwiseCopyable {
    package var replicationProtocol: ReplicationProtocol
    package var afterSplitBrain0: AfterSplitBrainPolicy
    package var afterSplitBrain1: AfterSplitBrainPolicy
    package var afterSplitBrain2: AfterSplitBrainPolicy
    package var flags: ConnectFlags
    package var allowTwoPrimaries: Bool
    /// `data-integrity-alg`; not transmitted below version 87.
    package var integrityAlgorithm: AlgorithmName

    /// Creates the parameters of a connection.
    package init(
        replicationProtocol: ReplicationProtocol,
        afterSplitBrain0: AfterSplitBrainPolicy = .disconnect,
        afterSplitBrain1: AfterSplitBrainPolicy = .disconnect,
        afterSplitBrain2: AfterSplitBrainPolicy = .disconnect,
        flags: ConnectFlags = [],
        allowTwoPrimaries: Bool = false,
        integrityAlgorithm: AlgorithmName = AlgorithmName()
    ) {
        self.replicationProtocol = replicationProtocol
        self.afterSplitBrain0 = afterSplitBrain0
        self.afterSplitBrain1 = afterSplitBrain1
        self.afterSplitBrain2 = afterSplitBrain2
        self.flags = flags
        self.allowTwoPrimaries = allowTwoPrimaries
        self.integrityAlgorithm = integrityAlgorithm
    }
}

/// P_DELAY_PROBE: obsolete, ignored on receipt, never sent.
package struct DelayProbe: Hashable, Sendable, BitwiseCopyable {
    package var sequenceNumber: UInt32
    package var microseconds: UInt32

    /// Creates a probe.
    package init(sequenceNumber: UInt32, microseconds: UInt32) {
        self.sequenceNumber = sequenceNumber
        self.microseconds = microseconds
    }
}

/// P_SYNC_PARAM and P_SYNC_PARAM89 (§4.5).
///
/// What a version does not transmit decodes as the default.
package struct SyncParameters: Hashable, Sendable, BitwiseCopyable {
    package var resyncRateKibibytesPerSecond: UInt32 = 250
    package var verifyAlgorithm = AlgorithmName()
    package var checksumAlgorithm = AlgorithmName()
    package var planAheadDeciseconds: UInt32 = 20
    package var delayTargetDeciseconds: UInt32 = 10
    package var fillTargetSectors: UInt32 = 100
    package var maximumRateKibibytesPerSecond: UInt32 = 102_400

    /// Creates DRBD 8.4's defaults.
    package init() {}
}

/// The limits of a node's block queue in P_SIZES, in bytes (§4.6).
package struct QueueLimits: Hashable, Sendable, BitwiseCopyable {
    package var physicalBlockSize: UInt32 = 512
    package var logicalBlockSize: UInt32 = 512
    package var alignmentOffset: UInt32 = 0
    package var minimumIOSize: UInt32 = 512
    package var optimalIOSize: UInt32 = 0
    /// Discards can be passed down.
    package var discardEnabled = false
    package var discardZeroesData = false
    package var writeSameCapable = false

    /// Creates the limits that a diskless node sends.
    package init() {}
}

/// P_SIZES: how large a volume is and may become, in sectors (§4.6).
package struct Sizes: Hashable, Sendable, BitwiseCopyable {
    /// The usable size of the sender's disk; 0 without one.
    package var diskSectors: UInt64
    /// The administrator's limit; 0 for none.
    package var userSectors: UInt64
    /// The size that the sender offers now; 0 asks for an answer.
    package var currentSectors: UInt64
    /// The largest write that the sender accepts.
    package var maximumRequestByteCount: UInt32
    package var queueOrderType: UInt16
    package var flags: SizesFlags
    /// Nil if the agreement lacks ``FeatureFlags/writeSame``; where it has it and this is nil, a
    /// diskless node's limits are sent.
    package var limits: QueueLimits?

    /// Creates the sizes of a volume.
    package init(
        diskSectors: UInt64,
        userSectors: UInt64,
        currentSectors: UInt64,
        maximumRequestByteCount: UInt32,
        flags: SizesFlags = [],
        limits: QueueLimits? = nil
    ) {
        self.diskSectors = diskSectors
        self.userSectors = userSectors
        self.currentSectors = currentSectors
        self.maximumRequestByteCount = maximumRequestByteCount
        self.queueOrderType = 0
        self.flags = flags
        self.limits = limits
    }
}

/// P_UUIDS: the data generations of a volume (§4.7).
package struct UUIDSet: Hashable, Sendable, BitwiseCopyable {
    package var current: UInt64
    package var bitmap: UInt64
    package var history0: UInt64
    package var history1: UInt64
    /// The number of bits set in the sender's bitmap.
    package var dirtyBits: UInt64
    package var flags: UUIDFlags

    /// Creates a set.
    package init(
        current: UInt64,
        bitmap: UInt64,
        history0: UInt64,
        history1: UInt64,
        dirtyBits: UInt64,
        flags: UUIDFlags = []
    ) {
        self.current = current
        self.bitmap = bitmap
        self.history0 = history0
        self.history1 = history1
        self.dirtyBits = dirtyBits
        self.flags = flags
    }
}

/// The head of P_COMPRESSED_BITMAP; the code bytes follow (§6.3).
package struct CompressedBitmapHeader: Hashable, Sendable, BitwiseCopyable {
    /// Whether the first run is one of set bits.
    package var startsWithSetBits: Bool
    /// The number of unused high bits in the last code byte, 0 to 7.
    package var padBits: UInt8

    /// Creates the head of run lengths in VLI code.
    ///
    /// Traps unless `padBits` is below 8.
    package init(startsWithSetBits: Bool, padBits: UInt8) {
        invariant(padBits < 8, "pad bits of a byte")
        self.startsWithSetBits = startsWithSetBits
        self.padBits = padBits
    }
}

/// The fixed part of P_DATA, P_DATA_REPLY and P_RS_DATA_REPLY; digest and payload follow.
package struct DataHeader: Hashable, Sendable, BitwiseCopyable {
    package var sector: UInt64
    package var blockID: BlockID
    /// The place in the volume's sequence; 0 in replies.
    package var sequenceNumber: UInt32
    package var flags: DataFlags

    /// Creates the head of a write or a reply.
    package init(sector: UInt64, blockID: BlockID, sequenceNumber: UInt32, flags: DataFlags = []) {
        self.sector = sector
        self.blockID = blockID
        self.sequenceNumber = sequenceNumber
        self.flags = flags
    }
}

/// P_TRIM and P_ZEROES, and the fixed part of P_WSAME: a write that names its range.
package struct RangeHeader: Hashable, Sendable, BitwiseCopyable {
    package var data: DataHeader
    package var byteCount: UInt32

    /// Creates the head of a write of `byteCount` bytes.
    package init(data: DataHeader, byteCount: UInt32) {
        self.data = data
        self.byteCount = byteCount
    }
}

/// The answer to a block of data or a request for it.
package struct BlockAck: Hashable, Sendable, BitwiseCopyable {
    package var sector: UInt64
    /// That of the request; without meaning in P_RS_IS_IN_SYNC and P_NEG_RS_DREPLY of DRBD 8.4.
    package var blockID: BlockID
    package var byteCount: UInt32
    /// The place in the volume's sequence, shared with writes.
    package var sequenceNumber: UInt32

    /// Creates an answer.
    package init(sector: UInt64, blockID: BlockID, byteCount: UInt32, sequenceNumber: UInt32) {
        self.sector = sector
        self.blockID = blockID
        self.byteCount = byteCount
        self.sequenceNumber = sequenceNumber
    }
}

/// A request for a block; in P_CSUM_RS_REQUEST and P_OV_REPLY a digest follows.
package struct BlockRequest: Hashable, Sendable, BitwiseCopyable {
    package var sector: UInt64
    package var blockID: BlockID
    package var byteCount: UInt32

    /// Creates a request.
    package init(sector: UInt64, blockID: BlockID, byteCount: UInt32) {
        self.sector = sector
        self.blockID = blockID
        self.byteCount = byteCount
    }
}

/// A range without a cookie: P_OUT_OF_SYNC and P_RS_DEALLOCATED.
package struct BlockRange: Hashable, Sendable, BitwiseCopyable {
    package var sector: UInt64
    package var byteCount: UInt32

    /// Creates a range.
    package init(sector: UInt64, byteCount: UInt32) {
        self.sector = sector
        self.byteCount = byteCount
    }
}

/// P_BARRIER_ACK: every write of an epoch is where its protocol wants it.
package struct BarrierAck: Hashable, Sendable, BitwiseCopyable {
    package var barrier: BarrierNumber
    /// The number of writes in the epoch.
    package var setSize: UInt32

    /// Creates an ack of `setSize` writes.
    package init(barrier: BarrierNumber, setSize: UInt32) {
        self.barrier = barrier
        self.setSize = setSize
    }
}

/// P_OV_RESULT: what online verify found; the result travels where others have the cookie.
package struct VerifyResult: Hashable, Sendable, BitwiseCopyable {
    package var sector: UInt64
    /// The number as it came; any number is possible.
    package var code: UInt64
    package var byteCount: UInt32
    package var sequenceNumber: UInt32

    /// The code for equal blocks.
    package static let inSync: UInt64 = 4711
    /// The code for blocks that differ.
    package static let outOfSync: UInt64 = 4712

    /// Creates a result.
    package init(sector: UInt64, code: UInt64, byteCount: UInt32, sequenceNumber: UInt32) {
        self.sector = sector
        self.code = code
        self.byteCount = byteCount
        self.sequenceNumber = sequenceNumber
    }
}

extension BlockAck {
    /// The acknowledged sectors.
    package var sectors: SectorRange {
        SectorRange(start: self.sector, count: UInt64(self.byteCount / 512))
    }
}

extension BlockRequest {
    /// The requested sectors.
    package var sectors: SectorRange {
        SectorRange(start: self.sector, count: UInt64(self.byteCount / 512))
    }
}

extension BlockRange {
    /// The sectors it covers.
    package var sectors: SectorRange {
        SectorRange(start: self.sector, count: UInt64(self.byteCount / 512))
    }
}

extension RangeHeader {
    /// The sectors it covers.
    package var sectors: SectorRange {
        SectorRange(start: self.data.sector, count: UInt64(self.byteCount / 512))
    }
}

extension VerifyResult {
    /// The compared sectors.
    package var sectors: SectorRange {
        SectorRange(start: self.sector, count: UInt64(self.byteCount / 512))
    }
}
