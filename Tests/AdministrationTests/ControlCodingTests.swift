// SPDX-License-Identifier: Apache-2.0

import Administration
import EngineCore
import Primitives
import Testing
import Wire

/// One request of every kind.
enum SampleRequests {
    static let peer = PeerAddress("r0", 1)
    static let device = PeerDeviceAddress(peer, 0)
    static let options = [OptionText("protocol", "C"), OptionText("_name", "höst \"b\"\n")]

    static let all: [EngineRequest] = [
        .newResource(name: "r0", nodeID: 0, options: options),
        .deleteResource(name: "r0"),
        .down(resource: nil),
        .down(resource: "r0"),
        .newMinor(resource: "r0", minor: 10, volume: 0, options: []),
        .deleteMinor(minor: 10),
        .newPeer(peer, options: options),
        .deletePeer(peer, force: true),
        .forgetPeer(peer),
        .newPath(peer, local: "ipv4:10.0.0.1:7789", remote: "ipv6:[fd00::3]:7789"),
        .deletePath(peer, local: "ipv4:10.0.0.1:7789", remote: "ipv6:[fd00::3]:7789"),
        .resourceOptions(resource: "r0", setDefaults: true, options: options),
        .diskOptions(minor: 10, setDefaults: false, options: options),
        .netOptions(peer, setDefaults: true, options: options),
        .peerDeviceOptions(device, setDefaults: true, options: options),
        .attach(AttachArguments(minor: 10, disk: "/d", metaDisk: "/m", index: "flexible")),
        .detach(minor: 10, force: true, diskless: false),
        .connect(peer, discardMyData: true, tentative: false),
        .disconnect(peer, force: true),
        .primary(resource: "r0", force: true),
        .secondary(resource: "r0", force: false),
        .outdate(minor: 10),
        .invalidate(minor: 10, syncFromPeerNodeID: 1, resetBitmap: true),
        .invalidateRemote(device, resetBitmap: false),
        .pauseSync(device),
        .resumeSync(device),
        .suspendIO(minor: 10),
        .resumeIO(minor: 10),
        .newCurrentUUID(minor: 10, clearBitmap: true, forceResync: false),
        .resize(minor: 10, options: options),
        .checkResize(minor: 10),
        .verify(device, options: options),
        .status(resource: nil),
        .events(resource: "r0"),
        .configuration(resource: nil),
        .generations(device),
    ]
}

struct ControlCodingTests {
    private func decode(_ line: [UInt8]) throws(ControlError) -> EngineRequest {
        try ControlCoding.decode(EngineRequest.self, from: line)
    }

    @Test(arguments: SampleRequests.all)
    func `a request survives the line`(_ request: EngineRequest) throws {
        let line = ControlCoding.line(request)
        #expect(line.last == UInt8(ascii: "\n"))
        #expect(line.dropLast().allSatisfy { $0 != UInt8(ascii: "\n") })
        #expect(try self.decode(Array(line.dropLast())) == request)
    }

    @Test func `a full status survives the line`() throws {
        for status in [Samples.resyncing, Samples.twoVolumes] {
            let time = EventTime(microseconds: 1_795_217_268_494_000)
            let reply = ControlReply<EnginePayload>.item(.status(TimedStatus(status, at: time)))
            let line = Array(ControlCoding.line(reply).dropLast())
            let decoded = try ControlCoding.decode(ControlReply<EnginePayload>.self, from: line)
            #expect(decoded.payload == reply.payload)
            #expect(!decoded.isLast)
        }
    }

    @Test func `every role and disk state travels by its name`() throws {
        for disk in DiskState.allCases {
            let line = ControlCoding.line([disk])
            #expect(String(decoding: line, as: UTF8.self) == "[\"\(disk.name)\"]\n")
            #expect(try ControlCoding.decode([DiskState].self, from: line) == [disk])
        }
        for role in Role.allCases {
            #expect(
                try ControlCoding.decode([Role].self, from: ControlCoding.line([role])) == [role]
            )
        }
    }

    @Test func `every code of the state word has both names`() {
        for code in ConnectionCode.allCases {
            #expect(ConnectionState(code).rawValue == "\(code.connectionName)")
            #expect(ReplicationState(code).rawValue == "\(code.replicationName)")
        }
    }

    @Test(arguments: [
        "", "{", "[]", "null", "7", "{}", "{\"frobnicate\":{}}", "{\"primary\":{}}",
        "{\"primary\":{\"resource\":\"r0\"}}", "{\"primary\":{\"resource\":1,\"force\":true}}",
        "{\"outdate\":{\"minor\":1e99}}", "{\"outdate\":{\"minor\":99999999999999999999}}",
        "{\"outdate\":{\"minor\":1.5}}", "{\"outdate\":{\"minor\":1}} x",
        "{\"outdate\":{\"minor\":1},\"down\":{}}",
    ])
    func `refuses a line that is no request`(_ text: String) {
        #expect(throws: ControlError.self) { try self.decode(Array(text.utf8)) }
    }

    @Test func `refuses a line that is nested too deeply`() {
        let depth = 200_000
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(throws: ControlError.self) { try self.decode(Array(text.utf8)) }
    }

    @Test func `no mutated line does harm`() {
        var random = SeededRandom(seed: 2)
        let lines = SampleRequests.all.map { ControlCoding.line($0) }
        var refused = 0
        for _ in 0..<100_000 {
            var line = lines[Int(random.below(UInt64(lines.count)))]
            for _ in 0...random.below(4) { Self.mutate(&line, &random) }
            var framer = LineFramer(maximum: 4096)
            framer.append(line)
            do throws(ControlError) {
                while let part = try framer.next() { _ = try self.decode(part) }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 50_000)
    }

    private static func mutate(_ line: inout [UInt8], _ random: inout SeededRandom) {
        guard !line.isEmpty else { return }
        let place = Int(random.below(UInt64(line.count)))
        let marks = Array("{}[]\",:\\\n-.0e".utf8)
        switch random.below(5) {
        case 0: line[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: line.remove(at: place)
        case 2: line.insert(marks[Int(random.below(UInt64(marks.count)))], at: place)
        case 3: line.insert(contentsOf: line[..<place], at: place)
        default: line.removeSubrange(place...)
        }
    }
}
