// SPDX-License-Identifier: Apache-2.0

/// The TCP connection of a pair that a packet travels on.
public enum PacketSocket: Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Freshly accepted: the first packet says which of the others it becomes.
    case undecided
    case data
    case meta
}

/// The number of a packet, protocol 86 to 101 (reference: wire protocol §3.1).
///
/// The obsolete 0x05 and 0x06 and the reserved 0x25 and 0x26 are not commands.
package enum PacketCommand: UInt16, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case data = 0x00
    case dataReply = 0x01
    case resyncDataReply = 0x02
    case barrier = 0x03
    case bitmap = 0x04
    case unplugRemote = 0x07
    case dataRequest = 0x08
    case resyncDataRequest = 0x09
    case syncParameters88 = 0x0a
    case protocolParameters = 0x0b
    case uuids = 0x0c
    case sizes = 0x0d
    case state = 0x0e
    case syncUUID = 0x0f
    case authChallenge = 0x10
    case authResponse = 0x11
    case stateChangeRequest = 0x12
    case ping = 0x13
    case pingAck = 0x14
    case receiveAck = 0x15
    case writeAck = 0x16
    case resyncWriteAck = 0x17
    case superseded = 0x18
    case negativeAck = 0x19
    case negativeDataReply = 0x1a
    case negativeResyncDataReply = 0x1b
    case barrierAck = 0x1c
    case stateChangeReply = 0x1d
    case verifyRequest = 0x1e
    case verifyReply = 0x1f
    case verifyResult = 0x20
    case checksumResyncRequest = 0x21
    case isInSync = 0x22
    case syncParameters = 0x23
    case compressedBitmap = 0x24
    case delayProbe = 0x27
    case outOfSync = 0x28
    case resyncCancel = 0x29
    case connectionStateChangeRequest = 0x2a
    case connectionStateChangeReply = 0x2b
    case retryWrite = 0x2c
    case protocolUpdate = 0x2d
    case trim = 0x31
    case thinResyncRequest = 0x32
    case deallocated = 0x33
    case writeSame = 0x34
    case zeroes = 0x36
    case initialMeta = 0xfff1
    case initialData = 0xfff2
    case features = 0xfffe

    /// Whether the packet concerns one volume, named in its header.
    package var isOfVolume: Bool {
        switch self {
        case .data, .dataReply, .resyncDataReply, .bitmap, .unplugRemote, .dataRequest,
            .resyncDataRequest, .syncParameters88, .uuids, .sizes, .state, .syncUUID,
            .stateChangeRequest, .receiveAck, .writeAck, .resyncWriteAck, .superseded, .negativeAck,
            .negativeDataReply, .negativeResyncDataReply, .stateChangeReply, .verifyRequest,
            .verifyReply, .verifyResult, .checksumResyncRequest, .isInSync, .syncParameters,
            .compressedBitmap, .outOfSync, .resyncCancel, .retryWrite, .trim, .thinResyncRequest,
            .deallocated, .writeSame, .zeroes:
            true
        case .barrier, .protocolParameters, .authChallenge, .authResponse, .ping, .pingAck,
            .barrierAck, .delayProbe, .connectionStateChangeRequest, .connectionStateChangeReply,
            .protocolUpdate, .initialMeta, .initialData, .features:
            false
        }
    }

    /// Whether the packet may come on `socket`.
    package func isCarried(on socket: PacketSocket) -> Bool {
        switch self {
        case .initialMeta, .initialData:
            socket == .undecided
        case .delayProbe:
            socket != .undecided
        case .ping, .pingAck, .receiveAck, .writeAck, .resyncWriteAck, .superseded, .negativeAck,
            .negativeDataReply, .negativeResyncDataReply, .barrierAck, .stateChangeReply,
            .verifyResult, .isInSync, .resyncCancel, .connectionStateChangeReply, .retryWrite:
            socket == .meta
        case .data, .dataReply, .resyncDataReply, .barrier, .bitmap, .unplugRemote, .dataRequest,
            .resyncDataRequest, .syncParameters88, .protocolParameters, .uuids, .sizes, .state,
            .syncUUID, .authChallenge, .authResponse, .stateChangeRequest, .verifyRequest,
            .verifyReply, .checksumResyncRequest, .syncParameters, .compressedBitmap, .outOfSync,
            .connectionStateChangeRequest, .protocolUpdate, .trim, .thinResyncRequest, .deallocated,
            .writeSame, .zeroes, .features:
            socket == .data
        }
    }

    /// Whether the packet takes the next number of its volume's sequence (§7.3).
    package var hasSequenceNumber: Bool {
        switch self {
        case .data, .trim, .writeSame, .zeroes: true
        case .receiveAck, .writeAck, .resyncWriteAck, .superseded, .negativeAck, .negativeDataReply,
            .negativeResyncDataReply, .verifyResult, .isInSync, .resyncCancel, .retryWrite:
            true
        case .dataReply, .resyncDataReply, .barrier, .bitmap, .unplugRemote, .dataRequest,
            .resyncDataRequest, .syncParameters88, .protocolParameters, .uuids, .sizes, .state,
            .syncUUID, .authChallenge, .authResponse, .stateChangeRequest, .ping, .pingAck,
            .barrierAck, .stateChangeReply, .verifyRequest, .verifyReply, .checksumResyncRequest,
            .syncParameters, .compressedBitmap, .delayProbe, .outOfSync,
            .connectionStateChangeRequest, .connectionStateChangeReply, .protocolUpdate,
            .thinResyncRequest, .deallocated, .initialMeta, .initialData, .features:
            false
        }
    }
}

extension PacketCommand {
    /// Whether the agreement lets a peer send the packet.
    package func isAllowed(under agreement: WireAgreement) -> Bool {
        switch self {
        case .initialMeta, .initialData, .features:
            return !agreement.isReached
        case .ping, .pingAck:
            // DRBD 9 may ping while the features are still under way.
            return true
        case .syncParameters88:
            return agreement.isReached && agreement.version <= 88
        case .trim:
            return agreement.isReached && agreement.features.contains(.trim)
        case .thinResyncRequest, .deallocated:
            return agreement.isReached && agreement.features.contains(.thinResync)
        case .writeSame:
            return agreement.isReached && agreement.features.contains(.writeSame)
        case .zeroes:
            return agreement.isReached && agreement.features.contains(.writeZeroes)
        case .verifyRequest, .verifyReply, .verifyResult:
            return agreement.version >= 88
        case .checksumResyncRequest, .isInSync, .syncParameters:
            return agreement.version >= 89
        case .compressedBitmap:
            return agreement.version >= 90
        case .delayProbe:
            return agreement.version >= 93
        case .outOfSync, .resyncCancel:
            return agreement.version >= 96
        case .connectionStateChangeRequest, .connectionStateChangeReply, .retryWrite,
            .protocolUpdate:
            return agreement.version >= 100
        case .data, .dataReply, .resyncDataReply, .barrier, .bitmap, .unplugRemote, .dataRequest,
            .resyncDataRequest, .protocolParameters, .uuids, .sizes, .state, .syncUUID,
            .authChallenge, .authResponse, .stateChangeRequest, .receiveAck, .writeAck,
            .resyncWriteAck, .superseded, .negativeAck, .negativeDataReply,
            .negativeResyncDataReply, .barrierAck, .stateChangeReply:
            return agreement.isReached
        }
    }

    /// The bytes behind the header that must be there to decode the packet's fixed part, given the
    /// header's `length`.
    ///
    /// Names of variable length belong to the fixed part.
    package func fixedByteCount(length: UInt32, under agreement: WireAgreement) -> UInt32 {
        switch self {
        case .unplugRemote, .ping, .pingAck, .initialMeta, .initialData, .bitmap, .authChallenge,
            .authResponse:
            return 0
        case .compressedBitmap:
            return 1
        case .state, .stateChangeReply, .connectionStateChangeReply:
            return 4
        case .barrier, .barrierAck, .syncUUID, .stateChangeRequest, .connectionStateChangeRequest,
            .delayProbe:
            return 8
        case .outOfSync, .deallocated:
            return 16
        case .data, .dataReply, .resyncDataReply, .dataRequest, .resyncDataRequest, .receiveAck,
            .writeAck, .resyncWriteAck, .superseded, .negativeAck, .negativeDataReply,
            .negativeResyncDataReply, .verifyRequest, .verifyReply, .verifyResult,
            .checksumResyncRequest, .isInSync, .resyncCancel, .retryWrite, .thinResyncRequest:
            return 24
        case .trim, .writeSame, .zeroes:
            return 28
        case .uuids:
            return 48
        case .features:
            return 72
        case .sizes:
            return agreement.features.contains(.writeSame) ? 56 : 32
        case .syncParameters:
            return agreement.version >= 95 ? 148 : 132
        case .syncParameters88, .protocolParameters, .protocolUpdate:
            return length
        }
    }

    /// The values that the header's length may have: fixed part and what trails it.
    package func lengths(under agreement: WireAgreement, in format: HeaderFormat)
        -> ClosedRange<UInt32>
    {
        let fixed = self.fixedByteCount(length: 0, under: agreement)
        let digest = agreement.digestByteCount
        let control = ReplicationLimits.controlPacketByteCount - format.byteCount
        switch self {
        case .data, .dataReply, .resyncDataReply:
            return fixed + digest + 512...fixed + digest + agreement.payloadLimit
        case .writeSame:
            return fixed + digest + 512...fixed + digest + 4096
        case .bitmap:
            return 0...control
        case .compressedBitmap:
            return 2...control
        case .authChallenge:
            return ReplicationLimits.challengeByteCounts
        case .authResponse:
            return 1...ReplicationLimits.digestByteCount
        case .verifyReply, .checksumResyncRequest:
            return fixed + 1...fixed + ReplicationLimits.digestByteCount
        case .protocolParameters, .protocolUpdate:
            return agreement.version >= 87 ? 25...88 : 24...24
        case .syncParameters88:
            return agreement.version >= 88 ? 5...68 : 4...4
        case .barrier, .unplugRemote, .dataRequest, .resyncDataRequest, .uuids, .sizes, .state,
            .syncUUID, .stateChangeRequest, .ping, .pingAck, .receiveAck, .writeAck,
            .resyncWriteAck, .superseded, .negativeAck, .negativeDataReply,
            .negativeResyncDataReply, .barrierAck, .stateChangeReply, .verifyRequest, .verifyResult,
            .isInSync, .syncParameters, .delayProbe, .outOfSync, .resyncCancel,
            .connectionStateChangeRequest, .connectionStateChangeReply, .retryWrite, .trim,
            .thinResyncRequest, .deallocated, .zeroes, .initialMeta, .initialData, .features:
            return fixed...fixed
        }
    }

    /// The name in the field's documents and in messages.
    package var name: StaticString {
        switch self {
        case .data: "P_DATA"
        case .dataReply: "P_DATA_REPLY"
        case .resyncDataReply: "P_RS_DATA_REPLY"
        case .barrier: "P_BARRIER"
        case .bitmap: "P_BITMAP"
        case .unplugRemote: "P_UNPLUG_REMOTE"
        case .dataRequest: "P_DATA_REQUEST"
        case .resyncDataRequest: "P_RS_DATA_REQUEST"
        case .syncParameters88: "P_SYNC_PARAM"
        case .protocolParameters: "P_PROTOCOL"
        case .uuids: "P_UUIDS"
        case .sizes: "P_SIZES"
        case .state: "P_STATE"
        case .syncUUID: "P_SYNC_UUID"
        case .authChallenge: "P_AUTH_CHALLENGE"
        case .authResponse: "P_AUTH_RESPONSE"
        case .stateChangeRequest: "P_STATE_CHG_REQ"
        case .ping: "P_PING"
        case .pingAck: "P_PING_ACK"
        case .receiveAck: "P_RECV_ACK"
        case .writeAck: "P_WRITE_ACK"
        case .resyncWriteAck: "P_RS_WRITE_ACK"
        case .superseded: "P_SUPERSEDED"
        case .negativeAck: "P_NEG_ACK"
        case .negativeDataReply: "P_NEG_DREPLY"
        case .negativeResyncDataReply: "P_NEG_RS_DREPLY"
        case .barrierAck: "P_BARRIER_ACK"
        case .stateChangeReply: "P_STATE_CHG_REPLY"
        case .verifyRequest: "P_OV_REQUEST"
        case .verifyReply: "P_OV_REPLY"
        case .verifyResult: "P_OV_RESULT"
        case .checksumResyncRequest: "P_CSUM_RS_REQUEST"
        case .isInSync: "P_RS_IS_IN_SYNC"
        case .syncParameters: "P_SYNC_PARAM89"
        case .compressedBitmap: "P_COMPRESSED_BITMAP"
        case .delayProbe: "P_DELAY_PROBE"
        case .outOfSync: "P_OUT_OF_SYNC"
        case .resyncCancel: "P_RS_CANCEL"
        case .connectionStateChangeRequest: "P_CONN_ST_CHG_REQ"
        case .connectionStateChangeReply: "P_CONN_ST_CHG_REPLY"
        case .retryWrite: "P_RETRY_WRITE"
        case .protocolUpdate: "P_PROTOCOL_UPDATE"
        case .trim: "P_TRIM"
        case .thinResyncRequest: "P_RS_THIN_REQ"
        case .deallocated: "P_RS_DEALLOCATED"
        case .writeSame: "P_WSAME"
        case .zeroes: "P_ZEROES"
        case .initialMeta: "P_INITIAL_META"
        case .initialData: "P_INITIAL_DATA"
        case .features: "P_CONNECTION_FEATURES"
        }
    }
}
