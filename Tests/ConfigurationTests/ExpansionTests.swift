// SPDX-License-Identifier: Apache-2.0
import Configuration
import Testing

struct ExpansionTests {
    private func names(_ list: OptionList) -> [String] {
        list.settings.map { "\($0.name)=\($0.value)" }
    }

    @Test
    func `inherited options come first and reversed, written ones win`() throws {
        let configuration = try parse(
            "common { net { timeout 50; ping-int 4; protocol B; } }"
                + twoNodes(
                    "net { ping-int 5; max-buffers 8k; } "
                        + "connection { host alpha; host beta; net { ko-count 3; } }"
                )
        )
        let resource = try configuration.expanded(configuration.resources[0])
        #expect(
            self.names(resource.sections.net)
                == ["protocol=B", "timeout=50", "ping-int=5", "max-buffers=8k"]
        )
        #expect(
            self.names(resource.connections[0].net)
                == ["max-buffers=8k", "ping-int=5", "timeout=50", "protocol=B", "ko-count=3"]
        )
        #expect(resource.connections[0].net.settings.map(\.origin).last == .written)
    }

    @Test
    func `a mesh wins over its resource, a connection's disk over the volumes'`() throws {
        let configuration = try parse(
            twoNodes(
                """
                net { ping-int 5; } disk { c-max-rate 10M; }
                on gamma { node-id 2; address 10.0.0.3:1; }
                connection-mesh { hosts alpha gamma; net { ping-int 6; } }
                connection { host alpha; host beta; disk { c-max-rate 20M; } }
                """
            )
        )
        let resource = try configuration.expanded(configuration.resources[0])
        #expect(resource.connections.map { $0.net["ping-int"] } == ["5", "6"])
        let rates = resource.connections.map { $0.peerDevices[0].options["c-max-rate"] }
        #expect(rates == ["20M", "10M"])
    }

    @Test
    func `hosts that disagree about a peer device are refused`() throws {
        let message = refusal(
            of: """
                resource r {
                on alpha { node-id 0; address 10.0.0.1:1;
                volume 0 { device minor 1; disk /dev/a; disk { resync-rate 1M; } } }
                on beta { node-id 1; address 10.0.0.2:1;
                volume 0 { device minor 1; disk /dev/a; disk { resync-rate 2M; } } } }
                """
        )
        #expect(message?.contains("ambiguous inheritance for option \"resync-rate\"") == true)
        #expect(message?.hasPrefix("/etc/t.res:5: ") == true)
    }

    @Test
    func `hosts inherit volumes field by field`() throws {
        let configuration = try parse(
            """
            resource r {
            volume 0 { device minor 1; disk /dev/a; meta-disk /dev/m[3]; }
            volume 7 { device /dev/drbd_x minor 2; disk none; }
            on alpha { node-id 0; address 10.0.0.1:1; volume 0 { disk /dev/b; } }
            on beta { node-id 1; address 10.0.0.2:1; volume 7 { disk /dev/c; device minor 9; } } }
            """
        )
        let resource = try configuration.expanded(configuration.resources[0])
        let alpha = resource.hosts[0].volumes
        let beta = resource.hosts[1].volumes
        #expect(alpha.map(\.number) == [0, 7])
        #expect(alpha[0].backingPath == "/dev/b")
        #expect(alpha[0].metaDisk == .indexed("/dev/m", index: 3))
        #expect(alpha[1].backingPath == nil)
        #expect(alpha[1].metaDisk == nil)
        #expect(beta[0].backingPath == "/dev/a")
        #expect(beta[1].device == .init(name: "/dev/drbd_x", minor: 9))
        #expect(beta[1].metaDisk == .internal)
    }

    @Test("RES-18 one file gives every node its view of the same resource")
    func viewsMirrorEachOther() throws {
        let configuration = try parse(try example("drbd-compatible.res"))
        let nodes = ["alpha", "beta", "gamma", "delta"]
        var pairs = 0
        for resource in configuration.resources {
            for name in nodes {
                let node = NodeIdentity(name: name)
                guard let view = try configuration.view(of: resource, on: node) else { continue }
                for peer in view.peers {
                    let other = NodeIdentity(name: peer.names[0])
                    let opposite = try #require(try configuration.view(of: resource, on: other))
                    let back = try #require(opposite.peers.first { $0.nodeID == view.nodeID })
                    #expect(opposite.nodeID == peer.nodeID)
                    #expect(opposite.volumes.map(\.number) == view.volumes.map(\.number))
                    #expect(
                        Set(back.net.settings.dropFirst()) == Set(peer.net.settings.dropFirst())
                    )
                    if !resource.name.hasPrefix("wan") {
                        #expect(peer.routes.map(\.local) == back.routes.map(\.remote))
                    }
                    pairs += 1
                }
            }
        }
        #expect(pairs == 22)
    }

    @Test
    func `three hosts without connections are a full mesh`() throws {
        let text = try example("bsr.res").replacing("# not yet: on beta", with: "on beta")
        let configuration = try parse(text)
        let resource = try #require(configuration.resource(named: "nat"))
        let node = NodeIdentity(name: "gamma")
        let view = try #require(try configuration.view(of: resource, on: node))
        #expect(view.peers.map(\.nodeID) == [0, 1])
        #expect(view.peers[0].routes[0].remote.endpoint == "192.0.2.1:7793")
        #expect(view.peers[1].routes[0].remote.endpoint == "10.1.0.2:7793")
    }

    @Test(arguments: [
        ("10.0.0.1", "10.0.0.2", 0), ("10.0.0.3", "10.0.0.2", 0),
        ("192.168.1.3", "10.77.0.2", 1), ("10.0.0.9", "10.0.0.3", 0),
    ])
    func `two hosts without ids get the ids that drbdadm derives`(
        first: String,
        second: String,
        id: Int
    ) throws {
        let configuration = try parse(
            """
            resource r { device minor 1; disk /dev/a;
            on alpha { address \(first):1; } on beta { address \(second):1; } }
            """
        )
        let resource = try configuration.expanded(configuration.resources[0])
        #expect(resource.hosts.map(\.nodeID) == [id, 1 - id])
    }

    @Test
    func `a diskless peer gets no bitmap`() throws {
        let configuration = try parse(
            """
            resource r { volume 0 { device minor 1; disk /dev/a; }
            on alpha { node-id 0; address 10.0.0.1:1; }
            on beta { node-id 1; address 10.0.0.2:1; volume 0 { disk none; } } }
            """
        )
        let alpha = try configuration.view(
            of: configuration.resources[0],
            on: NodeIdentity(name: "alpha.example.org")
        )
        #expect(alpha?.peers[0].peerDevices[0].options["bitmap"] == "no")
        #expect(alpha?.peers[0].hasDisk == false)
        let beta = try configuration.view(
            of: configuration.resources[0],
            on: NodeIdentity(name: "BETA")
        )
        #expect(beta?.peers[0].peerDevices[0].options["bitmap"] == nil)
        #expect(beta?.volumes[0].backing == nil)
    }

    @Test
    func `resync-after becomes this node's minor`() throws {
        let text =
            twoNodes("disk { resync-after q/0; }")
                + """
                resource q { volume 0 { device minor 5; disk /dev/b; }
                volume 1 { device minor 6; disk /dev/c; }
                on alpha { node-id 0; address 10.0.0.1:2; volume 0 { device minor 8; } }
                on beta { node-id 1; address 10.0.0.2:2; } }
                """
        let node = NodeIdentity(name: "alpha")
        let configuration = try parse(text)
        let view = try configuration.view(of: configuration.resources[0], on: node)
        #expect(view?.volumes[0].diskOptions["resync-after"] == "8")
        let ambiguous = try parse(text.replacing("q/0", with: "q"))
        #expect(throws: Diagnostic.self) {
            try ambiguous.view(of: ambiguous.resources[0], on: node)
        }
        let unknown = try parse(text.replacing("q/0", with: "gone"))
        let without = try unknown.view(of: unknown.resources[0], on: node)
        #expect(without?.volumes[0].diskOptions["resync-after"] == nil)
    }

    @Test
    func `floating hosts are found by address`() throws {
        let configuration = try parse(
            """
            resource r { device minor 1; disk /dev/a;
            floating 10.0.0.1:1 { node-id 0; } floating ipv6 [fd00::2]:1 { node-id 1; } }
            """
        )
        let resource = configuration.resources[0]
        let here = NodeIdentity(name: "x", addresses: ["127.0.0.1", "fd00::2"])
        #expect(try configuration.view(of: resource, on: here)?.nodeID == 1)
        let elsewhere = NodeIdentity(name: "10.0.0.1:1", addresses: ["127.0.0.1"])
        #expect(try configuration.view(of: resource, on: elsewhere)?.nodeID == nil)
    }
}
