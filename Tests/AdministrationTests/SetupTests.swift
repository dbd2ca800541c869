// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import EngineCore
import Testing
import Wire

struct SetupTests {
    private func request(_ line: String) throws -> EngineRequest? {
        let words = line.split(separator: " ").map(String.init)
        let command = try SetupCommandLine(words, environment: [:])
        guard case .verb(let invocation) = command.action else { return nil }
        return try invocation.request
    }

    @Test func `the commands of up`() throws {
        let peer = PeerAddress("r0", 1)
        let lines: [(String, EngineRequest)] = [
            (
                "new-resource r0 0 --quorum=majority --on-no-quorum=io-error",
                .newResource(
                    name: "r0",
                    nodeID: 0,
                    options: [
                        OptionText("quorum", "majority"), OptionText("on-no-quorum", "io-error"),
                    ]
                )
            ),
            ("new-minor r0 10 0", .newMinor(resource: "r0", minor: 10, volume: 0, options: [])),
            (
                "new-peer r0 1 --_name=beta --protocol=C",
                .newPeer(peer, options: [OptionText("_name", "beta"), OptionText("protocol", "C")])
            ),
            (
                "new-path r0 1 ipv4:10.0.0.1:7789 ipv6:[fd00::3]:7789",
                .newPath(peer, local: "ipv4:10.0.0.1:7789", remote: "ipv6:[fd00::3]:7789")
            ),
            (
                "peer-device-options r0 1 0 --set-defaults --c-max-rate=100M",
                .peerDeviceOptions(
                    PeerDeviceAddress(peer, 0),
                    setDefaults: true,
                    options: [OptionText("c-max-rate", "100M")]
                )
            ),
            (
                "attach 11 /dev/sdx2 /dev/sdy1 flexible --size=10G",
                .attach(
                    AttachArguments(
                        minor: 11,
                        disk: "/dev/sdx2",
                        metaDisk: "/dev/sdy1",
                        index: "flexible",
                        options: [OptionText("size", "10G")]
                    )
                )
            ),
            (
                "connect r0 1 --discard-my-data",
                .connect(peer, discardMyData: true, tentative: false)
            ),
            ("disconnect r0 1 --force=no", .disconnect(peer, force: false)),
            ("primary --force r0", .primary(resource: "r0", force: true)),
            ("outdate r0 11", .outdate(minor: 11)),
            ("outdate 11", .outdate(minor: 11)),
            (
                "invalidate 11 --sync-from-peer-node-id=1",
                .invalidate(minor: 11, syncFromPeerNodeID: 1, resetBitmap: true)
            ),
            ("status", .status(resource: nil)),
            ("--run-dir /r -c f --node=n status r0 -vs", .status(resource: "r0")),
            ("down all", .down(resource: nil)),
            ("events2 all --now", .events(resource: nil)),
        ]
        for (line, expected) in lines { #expect(try self.request(line) == expected, "\(line)") }
    }

    @Test(arguments: [
        ("--wfc-timeout=5", "5"), ("--wfc-timeout 7", "7"), ("-t 300000", "300000"), ("-t0", "0"),
        ("-wt 9", "9"),
    ])
    func `options of waiting have their values behind = or in the next word`(
        _ options: String,
        _ value: String
    ) throws {
        for line in ["r0 \(options)", "\(options) r0"] {
            let words = line.split(separator: " ").map(String.init)
            let invocation = try SetupInvocation(.waitSyncResource, words)
            #expect(invocation.words == ["r0"], "\(line)")
            #expect(invocation.value("wfc-timeout") == value, "\(line)")
            #expect(invocation.isSet("wait-after-sb") == options.hasPrefix("-w"), "\(line)")
        }
    }

    @Test func `every verb has a request or is derived`() throws {
        for verb in SetupVerb.allCases {
            let words = verb.arguments.map { argument in
                switch argument {
                case .nodeID, .peerNodeID, .minor, .volume: "1"
                case .resource, .resourceOrAll, .lowerDevice, .metaDevice, .metaIndex,
                    .localAddress, .remoteAddress:
                    "word"
                }
            }
            let invocation = try SetupInvocation(verb, words)
            let isDerived =
                invocation.waitCondition != nil
                || [.role, .connectionState, .diskState].contains(verb)
            #expect((try invocation.request == nil) == isDerived, "\(verb)")
        }
    }

    @Test(arguments: [
        "", "frobnicate", "attach 1", "attach x a b internal", "primary r0 --frob",
        "primary r0 r1", "new-peer r0 32", "status -x", "--frob status", "--run-dir",
        "down", "invalidate 1 --sync-from-peer-node-id=x", "net-options r0 -1",
        "resize 1 --=3", "wait-connect-resource r0 -t", "wait-connect-resource -t r0",
        "wait-connect-resource r0 --wfc-timeout", "wait-sync-resource r0 --wfc-timeout=soon",
        "wait-sync-resource r0 -t -1", "wait-sync-resource r0 -d 300001", "status -t 5",
    ])
    func `a wrong command line is refused`(_ line: String) {
        #expect(throws: UsageFailure.self) { try self.request(line) }
    }

    @Test func `the run directory is that of the option, the environment or the default`() throws {
        let environment = ["BSR_RUN_DIR": "/e"]
        #expect(try SetupCommandLine(["status"], environment: [:]).runDirectory == "/run/bsr")
        #expect(try SetupCommandLine(["status"], environment: environment).runDirectory == "/e")
        let words = ["--run-dir=/o", "status"]
        #expect(try SetupCommandLine(words, environment: environment).runDirectory == "/o")
    }

    @Test func `messages and exit codes of refusals`() {
        func outcome(_ code: ControlCode, _ texts: [String] = []) -> CommandOutcome {
            CommandOutcome(code, texts, about: "r0")
        }
        #expect(outcome(.success).exitCode == 0)
        let unknown = outcome(.failure(.resourceUnknown), ["more"])
        #expect(unknown.exitCode == 10)
        #expect(
            unknown.messages == [
                "r0: Failure: (158) Unknown resource", "additional info from bsrd:", "more",
            ]
        )
        let noData = outcome(.stateChange(.noUpToDateDisk))
        #expect(noData.exitCode == 17)
        #expect(
            noData.messages == ["r0: State change failed: (-2) Need access to UpToDate data"]
        )
        #expect(outcome(.stateChange(.deviceInUse)).exitCode == 11)
        #expect(outcome(.stateChange(.noLocalDisk)).exitCode == 16)
        #expect(outcome(.stateChange(.lowerThanOutdated)).exitCode == 5)
        #expect(outcome(.stateChange(.nothingToDo)).exitCode == 0)
        #expect(outcome(.refused, ["not yet"]).messages == ["r0: not yet"])
        #expect(outcome(.failed).exitCode == 20)
    }

    @Test func `one-word answers`() {
        let resource = Samples.twoVolumes
        #expect(StateQuery.role(resource) == "Primary")
        #expect(StateQuery.connectionState(resource, peerNodeID: 1) == "Connected")
        #expect(StateQuery.connectionState(resource, peerNodeID: 9) == nil)
        #expect(StateQuery.diskStates([resource], minor: 2) == "UpToDate/Inconsistent/DUnknown")
        #expect(StateQuery.diskStates([resource], minor: 9) == nil)
    }

    @Test func `waiting for a connection and for the end of a resync`() {
        var resource = Samples.resyncing
        #expect(WaitCondition(.connected).judge(resource) == .reached)
        #expect(WaitCondition(.synchronized).judge(resource) == .pending)
        resource.connections[0].peerDevices[0].replication = .established
        #expect(WaitCondition(.synchronized).judge(resource) == .reached)
        resource.connections[0].state = .connecting
        #expect(WaitCondition(.connected).judge(resource) == .pending)
        resource.connections[0].state = .standAlone
        #expect(WaitCondition(.connected).judge(resource) == .hopeless)
        var patient = WaitCondition(.connected)
        patient.waitsForStandAlone = true
        #expect(patient.judge(resource) == .pending)
        patient.peerNodeID = 7
        #expect(patient.judge(resource) == .unknownObject)
        #expect(patient.judge(nil) == .unknownObject)
    }

    @Test func `identifiers and flags in one line`() {
        var status = GenerationStatus(
            current: 0xA0B0_C0D0_E0F0_1234,
            bitmap: 0x1111,
            history: [9, 8]
        )
        status.diskFlags.isConsistent = true
        status.diskFlags.wasUpToDate = true
        status.diskFlags.isActivityLogClean = true
        status.peerFlags.isConnected = true
        status.peerFlags.deviceWasSeen = true
        #expect(
            GenerationText.line(status)
                == "A0B0C0D0E0F01234:0000000000001111:0000000000000009:0000000000000008"
                + ":1:1:0:0:1:0:0:1:0:0:0:1"
        )
    }
}

struct ConfigurationTextTests {
    private var sample: ResourceConfiguration {
        var resource = ResourceConfiguration(name: "r1", nodeID: 0)
        let backing = VolumeConfiguration.Backing.disk(
            path: "/dev/sda7",
            metaDisk: .internal,
            options: []
        )
        resource.volumes = [VolumeConfiguration(volume: 0, minor: 1, backing: backing)]
        var connection = ConnectionConfiguration(peerNodeID: 1)
        connection.paths = [PathStatus(local: "ipv4:10.1.1.31:7789", peer: "ipv4:10.1.1.32:7789")]
        connection.options = [ShownOption("_name", "bravo", isQuoted: true)]
        resource.connections = [connection]
        return resource
    }

    @Test func `the sample of the reference`() {
        #expect(
            ConfigurationText.render([self.sample]) == """
                resource "r1" {
                    _this_host {
                        node-id\t\t\t0;
                        volume 0 {
                            device\t\t\tminor 1;
                            disk\t\t\t"/dev/sda7";
                            meta-disk\t\t\tinternal;
                        }
                    }
                    connection {
                        _peer_node_id 1;
                        path {
                            _this_host ipv4 10.1.1.31:7789;
                            _remote_host ipv4 10.1.1.32:7789;
                        }
                        net {
                            _name           \t"bravo";
                        }
                    }
                }


                """
        )
    }

    @Test func `adjust reads it, whatever it holds`() throws {
        var resource = self.sample
        resource.options = [ShownOption("quorum", "off")]
        let disk = ShownOption("al-extents", "6007")
        resource.volumes.append(
            VolumeConfiguration(
                volume: 1,
                minor: 2,
                backing: .disk(
                    path: "/dev/\"odd\"",
                    metaDisk: .indexed(path: "/dev/m", index: 3),
                    options: [disk]
                )
            )
        )
        resource.volumes.append(VolumeConfiguration(volume: 2, minor: 3, backing: .client))
        resource.connections[0].isStandalone = true
        resource.connections[0].volumes = [0: [ShownOption("c-max-rate", "102400", suffix: "k")]]
        let path = PathStatus(local: "ipv6:[fd00::1]:7789", peer: "ipv6:[fd00::2]:7789")
        resource.connections[0].paths.append(path)
        let text = ConfigurationText.render([resource, self.sample])
        let running = try RunningStateParser.parse(Array(text.utf8))
        #expect(running.count == 2)
        #expect(running[0].name == "r1")
        #expect(running[0].volumes.count == 3)
        #expect(running[0].connections.count == 1)
    }

    @Test func `defaults are shown on demand only`() {
        var resource = self.sample
        var option = ShownOption("timeout", "60")
        option.isDefault = true
        option.unit = "1/10 seconds"
        resource.connections[0].options.append(option)
        let line = "timeout         \t60; # 1/10 seconds, default"
        #expect(ConfigurationText.render([resource]).contains(line))
        #expect(resource.withoutDefaults == self.sample)
    }
}
