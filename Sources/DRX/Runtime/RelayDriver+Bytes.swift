// SPDX-License-Identifier: Apache-2.0

import CChecksum
import DRXCore
import Primitives
import Reactor
import Wire

/// The way of bytes: engine → buffer → frames → bridge, and back.
extension RelayDriver {
    /// Moves what can be moved on one lane.
    func pump(_ lane: RelayLane) {
        self.readInitialPacket(lane)
        self.sendFrames(lane)
        self.takeFrames(lane)
        self.reportDelivered(lane)
        self.receiveFromEngine(lane)
        self.receiveFromBridge(lane)
    }

    // MARK: Engine to bridge

    /// Takes what the engine has written; a socket that is not read any more loses it.
    func engineReceived(_ lane: RelayLane, _ byteCount: Int) {
        guard let engine = lane.engine, lane.isReading, byteCount > 0 else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: engine.memory[..<byteCount])
        let taken = lane.transmit.append(bytes, at: self.reactor.now)
        invariant(taken == byteCount, "no more is received than there is room for")
    }

    private func receiveFromEngine(_ lane: RelayLane) {
        guard let engine = lane.engine, !engine.isReceiving, self.reactor.isOpen(engine.id) else {
            return
        }
        var memory = engine.memory
        if lane.isReading {
            let room = min(lane.transmit.room, memory.count)
            guard room > 0 else { return }
            memory = UnsafeMutableRawBufferPointer(rebasing: memory[..<room])
        }
        engine.isReceiving = self.reactor.receive(on: engine.id, into: memory)
    }

    private func readInitialPacket(_ lane: RelayLane) {
        let byteCount = ChannelType.initialPacketByteCount
        guard lane.awaitsInitialPacket, let engine = lane.engine,
            lane.transmit.used >= UInt64(byteCount)
        else { return }
        lane.awaitsInitialPacket = false
        let type = ChannelType(initialPacket: lane.transmit.readable(byteCount).bytes)
        if let type {
            lane.type = type
        } else {
            self.refuseStranger(engine, "did not begin as an engine does")
        }
        self.feed(.initialPacket(lane.id, engine.socket, type))
    }

    func startRelaying(_ lane: RelayLane, _ generation: UInt32) {
        do throws(CodecError) {
            try lane.start(generation, self.settings.plugins.first)
        } catch {
            lane.relaying = nil
            self.bridgeLost(lane, "\(error)")
        }
    }

    private func sendFrames(_ lane: RelayLane) {
        while let generation = lane.relaying, let bridge = lane.bridge {
            let content = lane.transmit.readable(Int(BridgeLimits.contentMaximum))
            guard content.count > 0 else { break }
            guard bridge.hasFreeFrame else { return }
            do throws(CodecError) {
                guard try self.sendFrame(content, lane, bridge, generation) else {
                    return self.bridgeLost(lane, "it takes no more")
                }
            } catch {
                return self.bridgeLost(lane, "\(error)")
            }
            lane.transmit.remove(content.count)
        }
        guard let generation = lane.relaying, lane.finishing == generation,
            lane.transmit.used == 0
        else { return }
        lane.finishing = nil
        lane.relaying = nil
        let byteCount = lane.sentByteCount
        self.feed(.transmitDrained(lane.id, generation: generation, byteCount: byteCount))
    }

    private func sendFrame(
        _ content: UnsafeRawBufferPointer,
        _ lane: RelayLane,
        _ bridge: BridgeSocket,
        _ generation: UInt32
    ) throws(CodecError) -> Bool {
        let (slot, memory) = bridge.takeFrame()
        let body = UnsafeMutableRawBufferPointer(
            rebasing: memory[BridgeLimits.headerByteCount...]
        )
        var codec = FrameCodec.none
        var byteCount = content.count
        if let compressed = try lane.compressor?.compress(content, into: body) {
            codec = lane.compressor?.codec ?? .none
            byteCount = compressed
        } else {
            body.copyMemory(from: content)
        }
        let data = BridgeData(
            generation: generation,
            position: lane.sentByteCount,
            contentByteCount: UInt32(content.count),
            payloadByteCount: UInt32(byteCount),
            codec: codec,
            checksum: bsr_crc32c(0, body.baseAddress, byteCount)
        )
        data.header.encode(into: memory)
        lane.sentByteCount += UInt64(content.count)
        lane.counters.sentContent += UInt64(content.count)
        lane.counters.sentPayload += UInt64(byteCount)
        let frame = UnsafeRawBufferPointer(
            rebasing: memory[..<(BridgeLimits.headerByteCount + byteCount)]
        )
        if self.reactor.send(frame, on: bridge.id, token: UInt64(slot)) { return true }
        bridge.releaseFrame(slot)
        return false
    }

    // MARK: Bridge to engine

    private func receiveFromBridge(_ lane: RelayLane) {
        guard let bridge = lane.bridge, !lane.isPaused, !bridge.isReceiving, !bridge.hasEnded,
            self.reactor.isOpen(bridge.id)
        else { return }
        bridge.isReceiving = self.reactor.receive(on: bridge.id, into: bridge.receiveMemory())
    }

    private func takeFrames(_ lane: RelayLane) {
        while let bridge = lane.bridge {
            do throws(BridgeError) {
                guard let (frame, byteCount) = try BridgeFrame.decode(bridge.received.bytes) else {
                    break
                }
                guard self.take(frame, byteCount, lane, bridge) else { break }
            } catch {
                return self.bridgeLost(lane, "\(error)")
            }
        }
        if let bridge = lane.bridge, bridge.hasEnded, !lane.isPaused {
            self.bridgeLost(lane, "the remote relay closed it")
        }
    }

    /// Handles one frame; false if it has to wait for its payload or for room.
    private func take(
        _ frame: BridgeFrame,
        _ byteCount: Int,
        _ lane: RelayLane,
        _ bridge: BridgeSocket
    ) -> Bool {
        switch frame {
        case .data(let data): return self.takeData(data, byteCount, lane, bridge)
        case .signal(let signal):
            bridge.consume(byteCount)
            guard bridge.isWelcomed else { break }
            if case .open(_, let type) = signal { lane.type = type }
            self.feed(.signal(lane.id, bridge.socket, signal))
            return true
        case .welcome(let welcome):
            bridge.consume(byteCount)
            guard !bridge.isWelcomed else { break }
            if let objection = self.agreement.objection(to: welcome) {
                self.bridgeLost(lane, objection.text)
                return false
            }
            bridge.isWelcomed = true
            lane.toldLoss = nil
            self.feed(.bridgeWelcomed(lane.id, bridge.socket))
            return true
        case .refusal(let refusal):
            self.bridgeLost(lane, "refused: \(refusal.text)")
            return false
        case .hello: break
        }
        self.bridgeLost(lane, "a frame at the wrong time")
        return false
    }

    private func takeData(
        _ data: BridgeData,
        _ byteCount: Int,
        _ lane: RelayLane,
        _ bridge: BridgeSocket
    ) -> Bool {
        guard bridge.isWelcomed else {
            self.bridgeLost(lane, "data before the greeting")
            return false
        }
        let end = byteCount + Int(data.payloadByteCount)
        guard bridge.received.count >= end else { return false }
        guard self.hasRoom(for: Int(data.contentByteCount), lane, bridge) else { return false }
        let payload = UnsafeRawBufferPointer(rebasing: bridge.received[byteCount..<end])
        guard bsr_crc32c(0, payload.baseAddress, payload.count) == data.checksum else {
            self.bridgeLost(lane, "the payload of a data frame is damaged")
            return false
        }
        self.arrived = (data, payload)
        self.feed(
            .data(
                lane.id,
                bridge.socket,
                generation: data.generation,
                position: data.position,
                byteCount: data.contentByteCount
            )
        )
        self.arrived = nil
        bridge.consume(end)
        return true
    }

    /// Pauses the bridge while the engine has not taken what has arrived.
    private func hasRoom(for byteCount: Int, _ lane: RelayLane, _ bridge: BridgeSocket) -> Bool {
        let hasRoom = lane.engine?.hasRoom(for: byteCount) ?? true
        if hasRoom == lane.isPaused {
            lane.isPaused = !hasRoom
            let socket = bridge.socket
            self.feed(
                hasRoom ? .bridgeResumed(lane.id, socket) : .bridgePaused(lane.id, socket)
            )
        }
        return hasRoom && lane.bridge === bridge
    }

    /// Gives the payload of the data frame just reported to the engine.
    func deliver(_ lane: RelayLane, _ byteCount: Int) {
        guard let (data, payload) = self.arrived else { return }
        lane.counters.receivedContent += UInt64(byteCount)
        lane.counters.receivedPayload += UInt64(payload.count)
        guard let engine = lane.engine else { return }
        let (block, memory) = engine.take(byteCount)
        do throws(CodecError) {
            try lane.decompressor?.decompress(payload, data.codec, into: memory)
        } catch {
            engine.release(block)
            return self.bridgeLost(lane, "\(error)")
        }
        let bytes = UnsafeRawBufferPointer(memory)
        if self.reactor.send(bytes, on: engine.id, token: UInt64(block)) { return }
        engine.release(block)
        self.engineLost(lane)
    }

    private func reportDelivered(_ lane: RelayLane) {
        guard let generation = lane.delivering else { return }
        if let engine = lane.engine, engine.queuedSegments > 0 { return }
        lane.delivering = nil
        self.feed(.deliveryDrained(lane.id, generation: generation))
    }
}
