// SPDX-License-Identifier: Apache-2.0
import Configuration
import TestSupport
import Testing

struct AdjustTests {
    /// All of the file runs, with an option that we do not know.
    private static let same = AdjustSample.running
        .replacing("al-extents 3000;", with: "al-extents 3000; newer-option 7;")
        .replacing(#"_name "beta";"#, with: #"_name "beta"; transport "tcp";"#)

    private func adjust(
        _ running: String,
        file: String = AdjustSample.file,
        _ target: String = "r",
        _ options: [BackendOption] = []
    ) throws -> [String] {
        let configuration = try parse(file)
        let finder = TargetFinder(configuration, on: NodeIdentity(name: "alpha"))
        let state = try RunningStateParser.parse(Array(running.utf8)).first
        let found = try #require(try finder.targets([target], for: .adjust).first)
        return AdjustPlan.commands(found, running: state, options)
            .enumerated().sorted { left, right in
                (left.element.stage?.rawValue ?? 0, left.offset)
                    < (right.element.stage?.rawValue ?? 0, right.offset)
            }.map(\.element.line)
    }

    @Test("TOOL-27 adjust does nothing if nothing differs")
    func nothingToDo() throws {
        #expect(try self.adjust(Self.same) == [])
    }

    @Test(arguments: [
        ("quorum majority", "quorum off", ["resource-options r --set-defaults --quorum=majority"]),
        ("8192", "8191", ["net-options r 1 --set-defaults --_name=beta --max-buffers=8k"]),
        ("20971520s", "1000s", ["resize 10 --size=10G", "check-resize 10"]),
        ("al-extents 3000;", "", ["disk-options 10 --set-defaults --al-extents=3000"]),
        (
            "volume 1 { disk { resync-rate 40960k; } }", "",
            ["peer-device-options r 1 1 --set-defaults --resync-rate=40M"]
        ),
        (
            "\"/dev/m\"", "internal",
            [
                "detach --diskless 11", "bsrmeta 11 v09 /dev/m flex-external apply-al",
                "attach 11 /dev/b /dev/m flexible",
            ]
        ),
        (
            "minor 11", "minor 12",
            [
                "detach --diskless 12", "del-minor 12", "new-minor r 11 1",
                "peer-device-options r 1 1 --set-defaults --resync-rate=40M",
                "bsrmeta 11 v09 /dev/m flex-external apply-al",
                "attach 11 /dev/b /dev/m flexible",
            ]
        ),
        (
            "disk \"/dev/b\"; meta-disk \"/dev/m\";", "",
            [
                "bsrmeta 11 v09 /dev/m flex-external apply-al",
                "attach 11 /dev/b /dev/m flexible",
            ]
        ),
        (
            "node-id 0;", "node-id 0; volume 7 { device minor 17; disk \"/dev/x\"; }",
            ["detach --diskless 17", "del-minor 17"]
        ),
        (
            "10.0.0.2:7789", "10.0.0.9:7789",
            [
                "disconnect r 1", "del-path r 1 ipv4:10.0.0.1:7789 ipv4:10.0.0.9:7789",
                "new-path r 1 ipv4:10.0.0.1:7789 ipv4:10.0.0.2:7789", "connect r 1",
            ]
        ),
        ("_peer_node_id 1;", "_peer_node_id 1; _is_standalone;", ["connect r 1"]),
        ("_peer_node_id 1;", "_peer_node_id 1; _cstate StandAlone;", ["connect r 1"]),
        (
            "\"tcp\"", "\"rdma\"",
            [
                "del-peer r 1", "new-peer r 1 --_name=beta --max-buffers=8k",
                "new-path r 1 ipv4:10.0.0.1:7789 ipv4:10.0.0.2:7789",
                "peer-device-options r 1 0 --set-defaults --resync-rate=40M",
                "peer-device-options r 1 1 --set-defaults --resync-rate=40M", "connect r 1",
            ]
        ),
        ("connection {", "connection { _peer_node_id 5; } connection {", ["del-peer r 5"]),
    ])
    func `adjust does only what differs`(part: String, other: String, expected: [String]) throws {
        let running = Self.same.replacing(part, with: other)
        let lines = expected.map { $0.hasPrefix("bsrmeta") ? $0 : "bsrsetup " + $0 }
        #expect(try self.adjust(running) == lines)
    }

    @Test
    func `without the resource adjust is up, with defaults for the rest`() throws {
        let lines = try self.adjust("")
        #expect(lines.first == "bsrsetup new-resource r 0 --quorum=majority")
        #expect(lines.last == "bsrsetup connect r 1")
        #expect(lines.count == 12)
        #expect(
            lines.contains("bsrsetup peer-device-options r 1 1 --set-defaults --resync-rate=40M")
        )
        let skipDisk = try self.adjust("", "r", [BackendOption("skip-disk")])
        #expect(!skipDisk.contains { $0.contains("attach") })
        let skipNet = try self.adjust("", "r", [BackendOption("skip-net")])
        #expect(!skipNet.contains { $0.contains("peer") || $0.contains("connect") })
    }

    @Test
    func `adjust of a part leaves the rest alone`() throws {
        let running = Self.same.replacing("minor 11", with: "minor 12")
        #expect(try self.adjust(running, "r/0") == [])
        #expect(try self.adjust(running, "r", [BackendOption("skip-disk")]) == [])
        let stale = Self.same.replacing(
            "connection {",
            with: "connection { _peer_node_id 5; } connection {"
        )
        #expect(try self.adjust(stale, "r:beta") == [])
        #expect(try self.adjust(stale, "r", [BackendOption("skip-net")]) == [])
    }

    @Test
    func `an unreadable state is an error with its line`() {
        let texts = [
            "resource", "resource r {", "resource \"r\" {\n _this_host { volume x", "foo",
            "resource r { connection { path { _this_host ipv4 a:b; } } }", "resource r }",
        ]
        for text in texts {
            let error = #expect(throws: Diagnostic.self, "\(text)") {
                try RunningStateParser.parse(Array(text.utf8))
            }
            #expect(error?.description.hasPrefix("bsrsetup show:") == true)
        }
    }
}
