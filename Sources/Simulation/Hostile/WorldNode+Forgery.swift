// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
package import Wire

/// Packets of a peer that keeps to no rule, as the driver hands them to the core.
extension WorldNode {
    /// Payload buffers that the core has not given back.
    package var bufferCount: Int { self.buffers.count }

    /// Whether there are sockets that something could arrive on.
    package var hasTransport: Bool { self.transport != nil }

    /// Takes the head of a packet; bytes that trail it, as many as it says, are made up.
    package func receiveForged(_ socket: PacketSocket, _ head: [UInt8]) {
        guard let transport = self.transport else { return }
        let frame: PacketFrame
        do throws(WireError) {
            guard let decoded = try self.decodeForged(socket, head) else {
                return transport.lose(self.number, .brokenPipe(.closed))
            }
            frame = decoded
        } catch { return transport.lose(self.number, .protocolError(.undecodable(error))) }
        let trailing = frame.trailingByteCount
        switch frame.packet {
        case .data, .dataReply, .resyncDataReply:
            self.deliverForged(
                socket,
                frame,
                self.buffers.make(Array(repeating: 1, count: (trailing + 511) / 512))
            )
        case .bitmap, .compressedBitmap:
            let bytes = (0..<trailing).map { _ in UInt8(self.world.random.below(256)) }
            self.deliver(frame, bitmap: bytes)
        case .authChallenge: self.deliverForged(.challenge, trailing)
        case .authResponse: self.deliverForged(.response, trailing)
        default: self.deliverForged(socket, frame, .none)
        }
    }

    /// The frame; nil if the stream ends before its head does.
    private func decodeForged(
        _ socket: PacketSocket,
        _ head: [UInt8]
    ) throws(WireError) -> PacketFrame? {
        let progress = try PacketFrame.decode(head.span.bytes, on: socket, under: self.agreement)
        guard case .head(let frame) = progress else { return nil }
        return frame
    }

    private func deliverForged(
        _ socket: PacketSocket,
        _ frame: PacketFrame,
        _ buffer: BufferHandle
    ) {
        self.deliver(
            .packet(
                socket,
                volume: frame.header.volume,
                frame.packet,
                buffer,
                payloadBytes: buffer == .none ? 0 : UInt32(frame.trailingByteCount)
            )
        )
    }

    private func deliverForged(_ step: AuthenticationStep, _ length: Int) {
        let bytes = (0..<min(length, ShortBytes.capacity))
            .map { _ in UInt8(self.world.random.below(256)) }
        self.deliver(
            .authentication(step, ShortBytes(bytes) ?? ShortBytes(), length: UInt32(length))
        )
    }
}
