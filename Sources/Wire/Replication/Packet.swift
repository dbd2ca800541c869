// SPDX-License-Identifier: Apache-2.0

/// A packet of protocol 86 to 101 without the bytes that trail its fixed part (reference: wire
/// protocol §3.2).
///
/// Plain data that copies nothing and points nowhere: payload, digests, bitmap bytes and challenges
/// stay in the caller's buffer and are described by their length only.
package enum Packet: Hashable, Sendable, BitwiseCopyable {
    // Connection
    case initialData
    case initialMeta
    case features(ConnectionFeatures)
    case authChallenge
    case authResponse
    case protocolParameters(ProtocolParameters)
    case protocolUpdate(ProtocolParameters)
    case ping
    case pingAck
    case delayProbe(DelayProbe)

    // Volume: handshake and state
    case syncParameters88(SyncParameters)
    case syncParameters(SyncParameters)
    case sizes(Sizes)
    case uuids(UUIDSet)
    case state(StateWord)
    case syncUUID(UInt64)
    case stateChangeRequest(StateRequest)
    case stateChangeReply(StateReply)
    case connectionStateChangeRequest(StateRequest)
    case connectionStateChangeReply(StateReply)

    // Bitmap
    case bitmap
    case compressedBitmap(CompressedBitmapHeader)

    // Writes
    case data(DataHeader)
    case trim(RangeHeader)
    case zeroes(RangeHeader)
    case writeSame(RangeHeader)
    case unplugRemote
    case barrier(BarrierNumber)
    case barrierAck(BarrierAck)
    case outOfSync(BlockRange)
    case receiveAck(BlockAck)
    case writeAck(BlockAck)
    case negativeAck(BlockAck)
    case superseded(BlockAck)
    case retryWrite(BlockAck)

    // Reads
    case dataRequest(BlockRequest)
    case dataReply(DataHeader)
    case negativeDataReply(BlockAck)

    // Resync
    case resyncDataRequest(BlockRequest)
    case checksumResyncRequest(BlockRequest)
    case thinResyncRequest(BlockRequest)
    case resyncDataReply(DataHeader)
    case deallocated(BlockRange)
    case isInSync(BlockAck)
    case negativeResyncDataReply(BlockAck)
    case resyncCancel(BlockAck)
    case resyncWriteAck(BlockAck)

    // Verify
    case verifyRequest(BlockRequest)
    case verifyReply(BlockRequest)
    case verifyResult(VerifyResult)

    /// The packet's number.
    package var command: PacketCommand {
        switch self {
        case .initialData: .initialData
        case .initialMeta: .initialMeta
        case .features: .features
        case .authChallenge: .authChallenge
        case .authResponse: .authResponse
        case .protocolParameters: .protocolParameters
        case .protocolUpdate: .protocolUpdate
        case .ping: .ping
        case .pingAck: .pingAck
        case .delayProbe: .delayProbe
        case .syncParameters88: .syncParameters88
        case .syncParameters: .syncParameters
        case .sizes: .sizes
        case .uuids: .uuids
        case .state: .state
        case .syncUUID: .syncUUID
        case .stateChangeRequest: .stateChangeRequest
        case .stateChangeReply: .stateChangeReply
        case .connectionStateChangeRequest: .connectionStateChangeRequest
        case .connectionStateChangeReply: .connectionStateChangeReply
        case .bitmap: .bitmap
        case .compressedBitmap: .compressedBitmap
        case .data: .data
        case .trim: .trim
        case .zeroes: .zeroes
        case .writeSame: .writeSame
        case .unplugRemote: .unplugRemote
        case .barrier: .barrier
        case .barrierAck: .barrierAck
        case .outOfSync: .outOfSync
        case .receiveAck: .receiveAck
        case .writeAck: .writeAck
        case .negativeAck: .negativeAck
        case .superseded: .superseded
        case .retryWrite: .retryWrite
        case .dataRequest: .dataRequest
        case .dataReply: .dataReply
        case .negativeDataReply: .negativeDataReply
        case .resyncDataRequest: .resyncDataRequest
        case .checksumResyncRequest: .checksumResyncRequest
        case .thinResyncRequest: .thinResyncRequest
        case .resyncDataReply: .resyncDataReply
        case .deallocated: .deallocated
        case .isInSync: .isInSync
        case .negativeResyncDataReply: .negativeResyncDataReply
        case .resyncCancel: .resyncCancel
        case .resyncWriteAck: .resyncWriteAck
        case .verifyRequest: .verifyRequest
        case .verifyReply: .verifyReply
        case .verifyResult: .verifyResult
        }
    }

    /// The number in its volume's sequence, in packets that take one.
    package var sequenceNumber: UInt32? {
        switch self {
        case .data(let header): header.sequenceNumber
        case .trim(let header), .zeroes(let header), .writeSame(let header):
            header.data.sequenceNumber
        case .receiveAck(let ack), .writeAck(let ack), .negativeAck(let ack), .superseded(let ack),
            .retryWrite(let ack), .negativeDataReply(let ack), .isInSync(let ack),
            .negativeResyncDataReply(let ack), .resyncCancel(let ack), .resyncWriteAck(let ack):
            ack.sequenceNumber
        case .verifyResult(let result): result.sequenceNumber
        case .initialData, .initialMeta, .features, .authChallenge, .authResponse,
            .protocolParameters, .protocolUpdate, .ping, .pingAck, .delayProbe, .syncParameters88,
            .syncParameters, .sizes, .uuids, .state, .syncUUID, .stateChangeRequest,
            .stateChangeReply, .connectionStateChangeRequest, .connectionStateChangeReply, .bitmap,
            .compressedBitmap, .unplugRemote, .barrier, .barrierAck, .outOfSync, .dataRequest,
            .dataReply, .resyncDataRequest, .checksumResyncRequest, .thinResyncRequest,
            .resyncDataReply, .deallocated, .verifyRequest, .verifyReply:
            nil
        }
    }
}
