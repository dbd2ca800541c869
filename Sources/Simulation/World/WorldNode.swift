// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Metadata
package import Primitives
package import Wire

/// A node of a world: the machine under test and a driver that carries out what it asks for.
package final class WorldNode {
    /// The disk of one volume; it outlives the process.
    package struct VolumeDisk {
        package var data: SimulatedDisk
        package var metadata: SimulatedMetadata
        /// What the process has last read or written.
        package var superblock: Superblock?
        /// Whether a process has the files open.
        package var isOpen = false
    }

    unowned let world: World
    package let number: Int
    package var core: Resource
    var actions = ActionQueue<ResourceAction>()
    private var isApplying = false
    /// Counts lives: what a former one has asked for is of no interest any more.
    package private(set) var life = 0
    package private(set) var isUp = false

    package var disks: [VolumeDisk] = []
    var buffers = BufferTable()
    var transport: Transport?
    var wantsTransport = false
    var agreement = WireAgreement.none
    private var dataPacketsSent: UInt64 = 0
    /// What the peer has to answer in this connection.
    var challenge = ShortBytes()

    /// What the application on this node is told.
    package var completions: [UInt32: (ClientError?, [Content]?) -> Void] = [:]
    /// Called at the moment at which the core completes a request.
    private var accounts: [UInt32: (ClientError?, [Content]?) -> Void] = [:]
    private var requestBuffers: [UInt32: BufferHandle] = [:]
    private var lastRequest: UInt32 = 0
    package var replies: [UInt32: StateChangeCode] = [:]
    private var lastCommand: UInt32 = 0
    package private(set) var clientDisconnects = 0
    /// What goes wrong with the disks, by volume.
    package var troubles: [DiskTrouble] = []

    init(_ world: World, number: Int) {
        self.world = world
        self.number = number
        self.core = Resource(parameters: world.parameters, seed: world.random.next())
    }

    // MARK: Life

    /// Starts the process: volumes are configured and their disks attached.
    ///
    /// With `volumes` only so many of them; the others may be added later.
    package func start(attaching: Bool = true, volumes: Int? = nil) {
        invariant(!self.isUp, "only a node that is down starts")
        self.isUp = true
        self.troubles = Array(repeating: DiskTrouble(), count: self.disks.count)
        self.replies = [:]
        self.world.note("node \(self.number) starts")
        self.core = Resource(parameters: self.world.parameters, seed: self.world.random.next())
        for index in 0..<UInt16(volumes ?? self.disks.count) {
            self.addVolume(index)
            if attaching { self.attach(index) }
        }
    }

    /// Configures the next volume.
    package func addVolume(_ index: UInt16) {
        let added = self.core.addVolume(
            number: index,
            minor: UInt32(index),
            parameters: self.world.diskParameters,
            into: &self.actions
        )
        invariant(added == index, "volumes have the numbers of their places")
        self.applyActions()
    }

    /// The process dies, and with `losingPower` the caches of the disks.
    package func crash(losingPower: Bool) {
        invariant(self.isUp, "only a node that is up ends or acts")
        self.world.note("node \(self.number) dies, \(losingPower ? "power cut" : "killed")")
        self.life += 1
        self.isUp = false
        self.isApplying = false
        self.actions.removeAll()
        self.transport?.abort(self.number, silently: losingPower)
        self.transport = nil
        self.wantsTransport = false
        self.agreement = .none
        self.buffers = BufferTable()
        self.requestBuffers = [:]
        for index in self.disks.indices {
            self.disks[index].isOpen = false
            if losingPower {
                self.disks[index].data.cutPower(&self.world.random)
                self.disks[index].metadata.cutPower(&self.world.random)
            } else {
                self.disks[index].data.kill(&self.world.random)
                self.disks[index].metadata.kill(&self.world.random)
            }
        }
        self.forgetClients()
        self.world.applications[self.number].died()
        self.world.checks.died(self.number, losingPower: losingPower)
    }

    /// Nobody waits for the requests any more.
    func forgetClients() {
        self.completions = [:]
        self.accounts = [:]
    }

    /// Opens the files of a volume, applies its activity log and gives it to the core.
    package func attach(_ index: UInt16) {
        let disk = self.disks[Int(index)]
        invariant(!disk.isOpen, "the files are free")
        if let fault = disk.metadata.recover() {
            return self.world.violated("node \(self.number): apply-al of volume \(index): \(fault)")
        }
        self.world.checks.attaching(self.number, Int(index))
        do throws(AttachProblem) {
            let found = try self.read(index, disk)
            self.disks[Int(index)].superblock = found.superblock
            self.disks[Int(index)].isOpen = true
            self.core.attach(index, found.attachment, at: self.world.now, into: &self.actions) {
                disk.metadata.current.load(bitCount: found.bitCount, into: $0)
            }
        } catch {
            return self.world.violated("node \(self.number): attach of volume \(index): \(error)")
        }
        self.applyActions()
    }

    private struct AttachProblem: Error { var text: String }

    /// What the driver finds in the metadata.
    private func read(
        _ index: UInt16,
        _ disk: VolumeDisk
    ) throws(AttachProblem) -> (superblock: Superblock, attachment: Attachment, bitCount: UInt64) {
        let stored: StoredMetadata
        let metadata = disk.metadata
        do throws(SuperblockFault) { stored = try metadata.current.stored() } catch {
            throw AttachProblem(text: "\(error)")
        }
        guard case .v09(let superblock) = stored.superblock else {
            throw AttachProblem(text: "metadata of an old format")
        }
        let attachment: Attachment
        do throws(AttachRefusal) {
            attachment = try self.core.attachment(
                index,
                superblock,
                stored.layout,
                node: metadata.nodes.own,
                peer: metadata.nodes.peer,
                dataSectors: UInt64(disk.data.current.sectorCount)
            )
        } catch { throw AttachProblem(text: "\(error)") }
        let bits = BitmapGeometry.bitCount(forSectors: stored.effectiveSectors)
        return (superblock, attachment, bits)
    }

    // MARK: Events

    /// Gives the core an event and carries out what it asks for.
    package func deliver(_ event: ResourceEvent) {
        invariant(self.isUp, "only a node that is up ends or acts")
        self.core.receive(event, at: self.world.now, into: &self.actions)
        self.applyActions()
    }

    func applyActions() {
        guard !self.isApplying else { return }
        self.isApplying = true
        while let action = self.actions.popFirst() { self.apply(action) }
        self.isApplying = false
    }

    var nextDeadline: Instant { self.isUp ? self.core.nextDeadline : .distantFuture }

    package func command(_ command: ResourceCommand) -> UInt32 {
        self.lastCommand += 1
        self.deliver(.command(self.lastCommand, command))
        return self.lastCommand
    }

    /// Has `body` called later, unless the process has died meanwhile.
    package func later(_ pause: TimeSpan, _ body: @escaping () -> Void) {
        let life = self.life
        self.world.schedule(after: pause) { [self] in
            if self.life == life { body() }
        }
    }

    // MARK: Requests

    /// Submits a request of the application.
    ///
    /// `content` is what a write writes. `account` is called when the core completes the request,
    /// `completion` when the client comes round to it.
    func request(
        _ volume: UInt16,
        _ kind: ClientRequest.Kind,
        _ range: SectorRange,
        content: Content = 0,
        isForcedUnitAccess: Bool = false,
        account: @escaping (ClientError?, [Content]?) -> Void,
        then completion: @escaping (ClientError?, [Content]?) -> Void
    ) {
        self.world.coverage.requested(
            RequestKind(kind, isForcedUnitAccess: isForcedUnitAccess)
        )
        self.lastRequest += 1
        let identifier = self.lastRequest
        var buffer = BufferHandle.none
        switch kind {
        case .read, .write:
            buffer = self.buffers.make(Array(repeating: content, count: Int(range.count)))
        case .trim, .writeZeroes, .flush: break
        }
        self.requestBuffers[identifier] = buffer
        self.world.note(
            "node \(self.number) request \(identifier) \(kind) of volume \(volume) \(range.start)"
                + "+\(range.count) content \(content) FUA \(isForcedUnitAccess)"
        )
        self.completions[identifier] = completion
        self.accounts[identifier] = account
        self.deliver(
            .request(
                ClientRequest(
                    identifier: identifier,
                    volume: volume,
                    kind: kind,
                    isForcedUnitAccess: isForcedUnitAccess,
                    mayUnmap: false,
                    range: range,
                    buffer: buffer
                )
            )
        )
    }

    private func completed(_ request: UInt32, _ error: ClientError?, _ data: BufferHandle?) {
        guard let completion = self.completions.removeValue(forKey: request),
            let buffer = self.requestBuffers.removeValue(forKey: request)
        else { invariantBroken("a request is answered once") }
        self.world.note(
            "node \(self.number) request \(request) done \(error.map { "\($0)" } ?? "")"
        )
        let content = data ?? buffer
        let read = content == .none ? nil : self.buffers[content]
        self.buffers.release(buffer)
        if let data { self.buffers.release(data) }
        self.accounts.removeValue(forKey: request)?(error, read)
        // The client hears of it when the driver comes round to it.
        self.later(.zero) { completion(error, read) }
    }

    // MARK: Actions

    private func apply(_ action: ResourceAction) {
        switch action {
        case .read(let volume, let token, let range, let buffer):
            self.read(volume, token, range, buffer)
        case .write(let volume, let token, let range, let buffer, let isForced):
            self.write(
                volume,
                token,
                range,
                self.buffers[buffer],
                buffer,
                isForcedUnitAccess: isForced
            )
        case .writeZeroes(let volume, let token, let range, _):
            let zeroes = Array(repeating: Content(0), count: Int(range.count))
            self.write(volume, token, range, zeroes, .none, isForcedUnitAccess: false)
        case .flushData(let volume, let token): self.flushData(volume, token)
        case .writeActivityLogBlock(let volume, let token):
            self.writeLogBlock(volume, token)
        case .writeBitmapPage(let volume, let token, let page):
            self.writePage(volume, token, page)
        case .writeSuperblock(let volume, let token): self.writeSuperblock(volume, token)
        case .flushMetadata(let volume, let token): self.flushMetadata(volume, token)
        case .attached(let volume, let result):
            self.world.note("node \(self.number) attached volume \(volume): \(result)")
        case .closeDisk(let volume):
            invariant(self.disks[Int(volume)].isOpen, "an open disk is closed")
            self.disks[Int(volume)].isOpen = false
            self.disks[Int(volume)].data.close(&self.world.random)
            self.disks[Int(volume)].metadata.close(&self.world.random)
        case .complete(let request, let error): self.completed(request, error, nil)
        case .completeRead(let request, let buffer): self.completed(request, nil, buffer)
        case .disconnectClients:
            self.clientDisconnects += 1
            self.world.applications[self.number].disconnected()
        case .releaseBuffer(let buffer): self.buffers.release(buffer)
        case .openTransport:
            self.wantsTransport = true
            self.world.connectIfBothWant()
        case .closeTransport: self.closeTransport()
        case .send(let socket, let volume, let packet, let buffer, let bytes):
            self.send(socket, volume, packet, buffer, bytes)
        case .sendBitmap(let volume): self.sendBitmap(volume)
        case .adopt(let agreement): self.agreement = agreement
        case .sendAuthentication(let step, let bytes): self.sendAuthentication(step, bytes)
        case .computeResponses(let challenge): self.computeResponses(to: challenge)
        case .reply(let command, let code):
            invariant(self.replies[command] == nil, "one answer to a command")
            self.replies[command] = code
            self.world.answered(self.number, code)
            self.world.note("node \(self.number) answers command \(command) \(code)")
        case .changed:
            self.world.note("node \(self.number) is \(self.world.describe(self.number))")
            self.world.checks.observe(self.number)
        case .moved(let volume, let old, let new):
            self.world.moved(self.number, volume, from: old, to: new)
        }
    }

    func finish(
        _ volume: UInt16,
        _ token: IOToken,
        _ result: IOResult,
        _ buffer: BufferHandle = .none
    ) {
        self.deliver(.io(volume: volume, token, result, buffer))
    }

    // MARK: Peer

    /// The two sockets are there.
    func transportEstablished(_ transport: Transport, resolvesConflicts: Bool) {
        self.transport = transport
        self.wantsTransport = false
        self.agreement = .none
        self.dataPacketsSent = 0
        self.challenge = Authentication.challenge(&self.world.random)
        self.deliver(
            .transportEstablished(
                resolvesConflicts: resolvesConflicts,
                challenge: self.challenge
            )
        )
    }

    private func closeTransport() {
        self.wantsTransport = false
        self.transport?.close(self.number)
        self.transport = nil
        self.agreement = .none
    }

    private func send(
        _ socket: PacketSocket,
        _ volume: UInt16,
        _ packet: Packet,
        _ buffer: BufferHandle,
        _ bytes: UInt32
    ) {
        guard let transport = self.transport else { return }
        let trailing: Trailing = buffer == .none ? .none : .payload(self.buffers[buffer])
        invariant(trailing.byteCount == Int(bytes), "the payload that is announced")
        self.world.sent(self.number, socket, volume, packet)
        transport.send(
            from: self.number,
            socket,
            self.encode(packet, volume, trailing.byteCount),
            trailing
        )
        guard socket == .data else { return }
        self.dataPacketsSent += 1
        let count = self.dataPacketsSent
        guard buffer != .none || packet.isWriteWithoutPayload else { return }
        self.later(self.world.networkDelay()) { [self] in
            if self.transport === transport { self.deliver(.dataPacketsSent(count)) }
        }
    }

    private func sendBitmap(_ volume: UInt16) {
        guard let transport = self.transport else { return }
        self.dataPacketsSent += 1
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { memory.deallocate() }
        while let next = self.core.nextBitmapPacket(volume, into: memory) {
            self.world.sent(self.number, .data, volume, next.packet)
            transport.send(
                from: self.number,
                .data,
                self.encode(next.packet, volume, next.trailing),
                .bytes(Array(memory[..<next.trailing]))
            )
        }
    }

    func encode(_ packet: Packet, _ volume: UInt16, _ trailing: Int) -> [UInt8] {
        withUnsafeTemporaryAllocation(
            byteCount: ReplicationLimits.headByteCount,
            alignment: 8
        ) { memory in
            let count = packet.encode(
                into: memory,
                volume: volume,
                trailing: trailing,
                under: self.agreement
            )
            return Array(memory[..<count])
        }
    }

    /// Whether the core has room for what another packet of the data socket may ask.
    var acceptsPackets: Bool { self.core.acceptsPeerRequests }

    func receive(_ socket: PacketSocket, _ head: [UInt8], _ trailing: Trailing) {
        if self.world.isHostile {
            var head = head
            self.world.corrupting?(self.number, socket, &head)
            return self.receiveForged(socket, head)
        }
        let frame: PacketFrame
        do throws(WireError) {
            frame = try self.decode(socket, head)
        } catch {
            return self.world.violated("node \(self.number): a packet of its peer: \(error)")
        }
        invariant(frame.trailingByteCount == trailing.byteCount, "the length in the header")
        self.world.received(self.number, frame.packet)
        switch trailing {
        case .bytes(let bytes): self.deliver(frame, bytes)
        case .payload(let content): self.deliver(socket, frame, content)
        case .none: self.deliver(socket, frame, nil)
        }
    }

    private func deliver(_ frame: PacketFrame, _ bytes: [UInt8]) {
        switch frame.packet {
        case .authChallenge: self.deliver(.challenge, bytes)
        case .authResponse: self.deliver(.response, bytes)
        default: self.deliver(frame, bitmap: bytes)
        }
    }

    func deliver(_ frame: PacketFrame, bitmap bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            self.core.receiveBitmap(
                volume: frame.header.volume,
                frame.packet,
                bytes: bytes,
                at: self.world.now,
                into: &self.actions
            )
        }
        self.applyActions()
    }

    private func deliver(_ socket: PacketSocket, _ frame: PacketFrame, _ payload: [Content]?) {
        var packet = frame.packet
        var sectors = payload?.count ?? 0
        self.world.tampering?(self.number, &packet, &sectors)
        self.deliver(
            .packet(
                socket,
                volume: frame.header.volume,
                packet,
                payload.map { self.buffers.make(Array($0.prefix(sectors))) } ?? .none,
                payloadBytes: UInt32(sectors * 512)
            )
        )
    }

    func decode(_ socket: PacketSocket, _ head: [UInt8]) throws(WireError) -> PacketFrame {
        let progress = try PacketFrame.decode(head.span.bytes, on: socket, under: self.agreement)
        guard case .head(let frame) = progress, frame.headByteCount == head.count else {
            invariantBroken("a whole head")
        }
        return frame
    }
}
