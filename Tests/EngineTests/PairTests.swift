// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing
import Wire

/// Two engines in one process that replicate over loopback.
final class EnginePair {
    let alpha: EngineNode
    let beta: EngineNode
    let ports: (UInt16, UInt16)
    var paths: [String] = []

    init(bytes: UInt64, parameters: ResourceParameters = ResourceParameters()) throws {
        self.alpha = try EngineNode(name: "alpha")
        self.beta = try EngineNode(name: "beta")
        self.ports = (try freePort(), try freePort())
        try self.setUp(self.alpha, 0, self.ports.0, self.ports.1, bytes, parameters)
        try self.setUp(self.beta, 1, self.ports.1, self.ports.0, bytes, parameters)
    }

    private func setUp(
        _ node: EngineNode,
        _ identifier: UInt8,
        _ local: UInt16,
        _ remote: UInt16,
        _ bytes: UInt64,
        _ parameters: ResourceParameters
    ) throws {
        let path = try node.makeDisk("data", bytes: bytes)
        self.paths.append(path)
        let peer = PeerConfiguration(
            name: identifier == 0 ? "beta" : "alpha",
            nodeIdentifier: 1 - identifier,
            local: try .ip("127.0.0.1", port: local),
            remote: try .ip("127.0.0.1", port: remote)
        )
        let failure: AttachFailure? = node.ask { loop, done in
            let index =
                loop.addResource(
                    name: "r0",
                    nodeIdentifier: identifier,
                    parameters: parameters
                ) ?? -1
            loop.setPeer(index, peer)
            let volume = loop.addVolume(index, number: 0, minor: 1, parameters: DiskParameters())
            loop.attach(
                index,
                volume: volume ?? 0,
                AttachRequest(dataPath: path, metadataPath: path, index: "internal")
            ) { done($0) }
        }
        if let failure { throw failure }
    }

    /// Connects, promotes alpha and waits for the full copy.
    func becomeUpToDate() throws {
        #expect(self.command(self.alpha, .connect(discardMyData: false)) == .success)
        #expect(self.command(self.beta, .connect(discardMyData: false)) == .success)
        #expect(self.wait { $0.connection == .connected && $1.connection == .connected })
        #expect(self.command(self.alpha, .primary(force: true)) == .success)
        #expect(self.wait { $0.peerDisk == .upToDate && $1.disk == .upToDate })
    }

    func command(_ node: EngineNode, _ command: ResourceCommand) -> StateChangeCode {
        node.command(0, command)
    }

    func snapshot(_ node: EngineNode) -> ResourceSnapshot {
        node.ask { loop, done in done(loop.snapshot(0)) }
    }

    /// Waits until `condition` holds for the states of both volumes.
    func wait(
        seconds: Double = 20,
        for condition: (VolumeState, VolumeState) -> Bool
    ) -> Bool {
        let isTrue = waitUntil(within: .seconds(seconds), lookingEvery: .milliseconds(20)) {
            let states = [self.alpha, self.beta].map {
                self.snapshot($0).volumes[0].snapshot.state
            }
            return condition(states[0], states[1])
        }
        if isTrue { return true }
        print(self.snapshot(self.alpha))
        print(self.snapshot(self.beta))
        return false
    }

    /// Whether both data files are equal up to the usable size.
    func areEqual() throws -> Bool {
        let size = Int(self.snapshot(self.alpha).volumes[0].snapshot.sizes.exposedSectors) * 512
        let one = try Data(contentsOf: URL(fileURLWithPath: self.paths[0])).prefix(size)
        let two = try Data(contentsOf: URL(fileURLWithPath: self.paths[1])).prefix(size)
        return one == two
    }

    func stop() {
        self.alpha.stop()
        self.beta.stop()
    }

    func qemuIO(_ node: EngineNode, _ commands: [String]) throws -> Program.Output {
        try Tool.qemuIO.run(
            ["-f", "raw"] + commands.flatMap { ["-c", $0] }
                + ["nbd+unix:///r0/0?socket=\(node.socketPath)"]
        )
    }
}

@Suite(.serialized) struct PairTests {
    @Test("SYNC-08 PROT-06 a forced promotion makes a full copy, and writes are mirrored")
    func fullSync() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        #expect(pair.command(pair.alpha, .connect(discardMyData: false)) == .success)
        #expect(pair.command(pair.beta, .connect(discardMyData: false)) == .success)
        #expect(pair.wait { $0.connection == .connected && $1.connection == .connected })
        #expect(pair.command(pair.alpha, .primary(force: true)) == .success)
        #expect(pair.wait { $0.peerDisk == .upToDate && $1.disk == .upToDate })
        let result = try pair.qemuIO(
            pair.alpha,
            ["write -P 7 0 64k", "write -P 9 1M 3M", "flush", "write -f -P 5 100k 512"]
        )
        #expect(result.exitCode == 0, "\(result.text)")
        #expect(try pair.areEqual())
    }

    @Test func `a peer that disconnects in good order is no reason for a warning`() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        #expect(pair.command(pair.beta, .disconnect(force: false)) == .success)
        let isSaid = waitUntil(within: .seconds(20)) {
            pair.alpha.lines.all.contains { $0.contains("the peer's administrator disconnected") }
        }
        #expect(isSaid, "\(pair.alpha.lines.all)")
        #expect(!pair.alpha.warnings.all.contains { $0.contains("disconnected") })
    }

    @Test("SYNC-07 SYNC-04 only what was written while disconnected is copied after it")
    func bitmapResync() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        #expect(pair.command(pair.beta, .disconnect(force: false)) == .success)
        let offline = try pair.qemuIO(
            pair.alpha,
            ["write -P 1 0 64k", "write -P 2 8M 4k", "write -P 3 8M 4k", "flush"]
        )
        #expect(offline.exitCode == 0, "\(offline.text)")
        let dirty = pair.snapshot(pair.alpha).volumes[0].snapshot.outOfSyncBits
        #expect(dirty == 17)
        let received = pair.snapshot(pair.beta).volumes[0].snapshot.statistics.received
        #expect(pair.command(pair.beta, .connect(discardMyData: false)) == .success)
        #expect(pair.wait { $0.peerDisk == .upToDate && $1.disk == .upToDate })
        #expect(try pair.areEqual())
        let after = pair.snapshot(pair.beta).volumes[0].snapshot.statistics.received
        #expect(after - received == 17 * 8)
    }

    @Test("ROLE-05 ROLE-12 roles are swapped and the copy serves")
    func roleSwap() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        #expect(try pair.qemuIO(pair.alpha, ["write -P 7 0 64k"]).exitCode == 0)
        #expect(pair.command(pair.beta, .primary(force: false)) == .twoPrimaries)
        #expect(self.isDemoted(pair, pair.alpha))
        #expect(pair.command(pair.beta, .primary(force: false)) == .success)
        let result = try pair.qemuIO(pair.beta, ["read -P 7 0 64k", "write -P 8 64k 64k"])
        #expect(result.exitCode == 0 && !result.text.contains("failed"), "\(result.text)")
        #expect(self.isDemoted(pair, pair.beta))
        #expect(try pair.areEqual())
        #expect(pair.command(pair.alpha, .down) == .success)
    }

    /// Whether a node can be demoted once it has noticed that its last client is gone.
    private func isDemoted(_ pair: EnginePair, _ node: EngineNode) -> Bool {
        var code = StateChangeCode.deviceInUse
        return waitUntil(within: .seconds(20)) {
            code = pair.command(node, .secondary(force: false))
            return code != .deviceInUse
        } && code == .success
    }

    @Test("SB-02 a split brain is detected, and healed by giving one side up")
    func splitBrain() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        #expect(pair.command(pair.beta, .disconnect(force: false)) == .success)
        #expect(pair.command(pair.alpha, .disconnect(force: true)) == .success)
        #expect(try pair.qemuIO(pair.alpha, ["write -P 1 0 64k"]).exitCode == 0)
        #expect(pair.command(pair.beta, .primary(force: true)) == .success)
        #expect(try pair.qemuIO(pair.beta, ["write -P 2 1M 64k"]).exitCode == 0)
        #expect(pair.command(pair.beta, .secondary(force: false)) == .success)
        _ = pair.command(pair.alpha, .connect(discardMyData: false))
        _ = pair.command(pair.beta, .connect(discardMyData: false))
        #expect(pair.wait { $0.connection == .standAlone && $1.connection == .standAlone })
        #expect(pair.snapshot(pair.alpha).lastLoss == .refused(.data(.splitBrain)))
        #expect(try !pair.areEqual())
        #expect(pair.command(pair.beta, .connect(discardMyData: true)) == .success)
        #expect(pair.command(pair.alpha, .connect(discardMyData: false)) == .success)
        #expect(pair.wait { $0.peerDisk == .upToDate && $1.disk == .upToDate })
        #expect(try pair.areEqual())
    }

    @Test func `a Primary without a disk works on its peer's copy`() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        #expect(pair.command(pair.alpha, .detach(volume: 0, force: false)) == .success)
        #expect(pair.wait { $0.disk == .diskless && $1.peerDisk == .diskless })
        let result = try pair.qemuIO(
            pair.alpha,
            [
                "write -P 7 0 64k", "flush", "write -f -P 8 4k 4k", "read -P 7 0 4k",
                "read -P 8 4k 4k", "discard 1M 64k", "flush",
            ]
        )
        #expect(result.exitCode == 0 && !result.text.contains("failed"), "\(result.text)")
    }

    @Test(
        "PROT-01 PROT-04 writes reach the peer with every protocol",
        arguments: [Wire.ReplicationProtocol.a, .b, .c]
    )
    func protocols(_ letter: Wire.ReplicationProtocol) throws {
        var parameters = ResourceParameters()
        parameters.network.replicationProtocol = letter
        let pair = try EnginePair(bytes: 32 << 20, parameters: parameters)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        let result = try pair.qemuIO(
            pair.alpha,
            [
                "write -P 7 0 64k", "aio_write -P 3 1M 1M", "aio_write -P 4 2M 1M", "aio_flush",
                "flush", "write -z 0 4k", "discard 4M 1M",
            ]
        )
        #expect(result.exitCode == 0 && !result.text.contains("failed"), "\(result.text)")
        #expect(pair.command(pair.alpha, .secondary(force: false)) == .success)
        #expect(try pair.areEqual())
    }

    @Test("PROT-01 with protocol A trims and zeroes do not wait for a peer that stands still")
    func trimWithoutPeer() throws {
        var parameters = ResourceParameters()
        parameters.network.replicationProtocol = .a
        parameters.network.pingTimeout = .seconds(15)
        let pair = try EnginePair(bytes: 32 << 20, parameters: parameters)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        let gate = DispatchSemaphore(value: 0)
        let isHeld: Bool = pair.beta.ask { _, done in
            done(true)
            gate.wait()
        }
        let result = try pair.qemuIO(pair.alpha, ["discard 4M 1M", "write -z 8M 64k"])
        let state = pair.snapshot(pair.alpha).volumes[0].snapshot.state
        gate.signal()
        #expect(isHeld && result.exitCode == 0 && !result.text.contains("failed"))
        #expect(state.connection == .connected)
    }

    @Test func `the log tells of every change of state and why nodes stand alone`() throws {
        let pair = try EnginePair(bytes: 32 << 20)
        defer { pair.stop() }
        try pair.becomeUpToDate()
        #expect(pair.command(pair.beta, .disconnect(force: false)) == .success)
        let lines = pair.alpha.lines.all
        for text in [
            "resource r0: role Secondary -> Primary",
            "resource r0 volume 0: disk Inconsistent -> UpToDate",
            "resource r0 volume 0: disk of beta Inconsistent -> UpToDate",
        ] { #expect(lines.contains(text), "\(text) in \(lines)") }
        let isConnected = lines.contains {
            $0.hasPrefix("resource r0: connection to beta ") && $0.hasSuffix(" -> Connected")
        }
        #expect(isConnected, "\(lines)")
        var parameters = NetworkParameters()
        parameters.replicationProtocol = .a
        let changed = parameters
        let _: Bool = pair.beta.ask { loop, done in
            loop.setNetworkParameters(0, changed)
            done(true)
        }
        #expect(pair.command(pair.beta, .connect(discardMyData: false)) == .success)
        #expect(
            waitUntil(within: .seconds(20), lookingEvery: .milliseconds(20)) {
                pair.beta.lines.all.contains {
                    $0.contains("StandAlone: protocol differs: ours A, the peer's C")
                }
            }
        )
    }
}
