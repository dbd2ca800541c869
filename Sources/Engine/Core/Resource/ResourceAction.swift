// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// What the driver of a ``Resource`` must do, in this order.
///
/// Volumes are named by their index in the resource's table. Metadata content is read out of the
/// core at the moment the action is carried out (``Resource/encodeActivityLogBlock(_:into:)`` and
/// its siblings), so that no page travels through an action.
package enum ResourceAction: Sendable, BitwiseCopyable {
    // Data device.
    case read(volume: UInt16, IOToken, SectorRange, BufferHandle)
    case write(volume: UInt16, IOToken, SectorRange, BufferHandle, isForcedUnitAccess: Bool)
    /// Makes the range read as zeroes; with `mayUnmap` it may be deallocated.
    case writeZeroes(volume: UInt16, IOToken, SectorRange, mayUnmap: Bool)
    case flushData(volume: UInt16, IOToken)

    // Metadata device.
    case writeActivityLogBlock(volume: UInt16, IOToken)
    case writeBitmapPage(volume: UInt16, IOToken, page: UInt32)
    case writeSuperblock(volume: UInt16, IOToken)
    case flushMetadata(volume: UInt16, IOToken)
    /// The disk that was attached is in use now, or was given up again.
    case attached(volume: UInt16, IOResult)
    /// Closes both files of a volume; nothing of it is in flight any more.
    case closeDisk(volume: UInt16)

    // Application.
    case complete(request: UInt32, ClientError?)
    /// Completes a read with data of the peer, which is in this buffer and not in the request's.
    case completeRead(request: UInt32, BufferHandle)
    /// Ends NBD transmission of every client of the resource, with an error for what is in flight.
    case disconnectClients

    /// The core needs the buffer no longer; the driver may still be sending it.
    case releaseBuffer(BufferHandle)

    // Peer.
    /// Starts listening and dialling until `transport` reports two sockets.
    case openTransport
    /// Closes both sockets, or gives up looking for the peer. The driver reports nothing
    /// afterwards.
    case closeTransport
    /// `volume` is the number in the header. `payloadBytes` of the buffer follow the fixed part.
    case send(PacketSocket, volume: UInt16, Packet, BufferHandle, payloadBytes: UInt32)
    /// Sends what ``Resource/nextBitmapPacket(_:into:)`` yields, with nothing in between.
    case sendBitmap(volume: UInt16)
    /// Frames packets of both directions as agreed from now on.
    case adopt(WireAgreement)
    /// Sends P_AUTH_CHALLENGE or P_AUTH_RESPONSE with these bytes behind the header.
    case sendAuthentication(AuthenticationStep, ShortBytes)
    /// Computes the keyed digests of the peer's challenge and of ours, which was sent before, and
    /// reports them by ``Resource/receiveResponses(own:expected:at:into:)``.
    case computeResponses(to: ShortBytes)

    // Administration.
    /// Answers a command.
    case reply(command: UInt32, StateChangeCode)
    /// Something that `status` shows has changed.
    case changed(ResourceChange)
    /// The state of a volume was changed: each step, also one that another step of the same event
    /// has overtaken.
    case moved(volume: UInt16, from: VolumeState, to: VolumeState)
}

/// The packets with which each end shows that it knows the shared secret.
package enum AuthenticationStep: Sendable, BitwiseCopyable {
    case challenge
    case response

    /// The packet that the bytes follow.
    package var packet: Packet {
        switch self {
        case .challenge: .authChallenge
        case .response: .authResponse
        }
    }
}

/// What changed, for events2 and the log.
package enum ResourceChange: Hashable, Sendable, BitwiseCopyable {
    case resource
    case volume(UInt16)
    case connection
    case peerDevice(UInt16)
}

/// What happens to a ``Resource``.
package enum ResourceEvent: Sendable, BitwiseCopyable {
    case request(ClientRequest)
    /// `buffer` has the data of a read that had no buffer of its own.
    case io(volume: UInt16, IOToken, IOResult, BufferHandle)
    /// Both sockets are up; the handshake starts. `challenge` is random and of this connection
    /// only.
    case transportEstablished(resolvesConflicts: Bool, challenge: ShortBytes)
    case transportLost(ConnectionLoss)
    /// `buffer` holds the packet's payload, if it has one; the core owns a reference from now on.
    case packet(PacketSocket, volume: UInt16, Packet, BufferHandle, payloadBytes: UInt32)
    /// P_AUTH_CHALLENGE or P_AUTH_RESPONSE with the first 64 of `length` bytes.
    case authentication(AuthenticationStep, ShortBytes, length: UInt32)
    /// A socket does not take what is queued, or has taken some and stopped again.
    case sendBlocked(PacketSocket)
    /// A socket has taken all that was queued.
    case sendDrained(PacketSocket)
    /// The kernel has taken this many packets of the data socket, counted over the connection.
    case dataPacketsSent(UInt64)
    case timer
    /// A client of the volume's export has entered transmission, or the last one has left it.
    case volumeInUse(UInt16, Bool)
    case command(UInt32, ResourceCommand)
}
