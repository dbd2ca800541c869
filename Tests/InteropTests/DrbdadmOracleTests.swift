// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import TestSupport
import Testing

/// `bsradm` beside the real `drbdadm` of Debian's drbd-utils: the same file, the same answer.
///
/// Where we differ on purpose, the tests stay away: relays are run by drxd, so adjust prints no
/// relay commands; a transport that is not given is tcp; names that could not be parsed again are
/// quoted; what is surely a mistake (an option twice in one section) is refused.
@Suite(
    .enabled(if: Oracle.isInstalled, "needs drbdadm (Debian: drbd-utils)"),
    .serialized
)
struct DrbdadmOracleTests {
    private static let nodes = ["alpha", "beta", "gamma", "delta"]

    @Test(arguments: Self.nodes)
    func `the example file gives the same normal form on every node`(node: String) throws {
        let oracle = try Oracle(file: Oracle.example("drbd-compatible.res"), node: node)
        for arguments in [
            ["dump"], ["-v", "dump"], ["-d", "up", "all"], ["-d", "adjust", "all"],
        ] {
            try oracle.compare(arguments)
        }
    }

    @Test(
        "TOOL-03 a dry run prints the commands that drbdadm prints",
        arguments: [
            "up", "down", "adjust", "primary", "secondary", "connect", "disconnect", "attach",
            "detach", "outdate", "invalidate", "invalidate-remote", "new-peer", "new-path",
            "new-minor", "new-resource", "disk-options", "net-options", "resource-options",
            "peer-device-options", "apply-al", "dump-md", "wipe-md", "create-md", "get-gi",
            "show-gi",
            "status", "wait-connect", "wait-sync", "role", "cstate", "dstate", "verify",
            "pause-sync",
            "resume-sync", "resize", "check-resize", "del-peer", "del-path", "del-minor",
            "forget-peer", "suspend-io", "resume-io", "sh-resource", "sh-minor", "sh-ll-dev",
            "sh-md-dev", "sh-md-idx", "sh-ip",
        ]
    )
    func everyVerb(verb: String) throws {
        let oracle = try Oracle(file: Oracle.example("drbd-compatible.res"), node: "alpha")
        for target in ["all", "mesh", "paths"] { try oracle.compare(["-d", verb, target]) }
    }

    @Test(arguments: [
        "connect mesh:gamma", "verify mesh:gamma/1", "verify mesh/1", "attach minor-11",
        "up mesh:beta", "up wan small", "wait-connect mesh:beta", "wait-connect mesh:beta/1",
        "wait-sync mesh", "adjust --skip-disk mesh", "adjust --skip-net mesh",
        "primary --force small", "-- --force primary small", "secondary small --force",
        "disconnect --force mesh:beta", "connect --discard-my-data mesh",
        "create-md --max-peers=5 mesh/0", "create-md --max-peers 5 mesh/0",
        "-- --force --max-peers=7 create-md mesh/0", "net-options --ping-int=5 small",
        "attach --size=5G mesh", "invalidate --sync-from-peer-node-id=1 mesh",
        "resize --size=5G --assume-clean mesh/0", "new-current-uuid --clear-bitmap mesh/0",
        "verify --start=3 mesh", "resource-options --quorum=off mesh",
        "new-peer --ping-int=3 mesh", "detach --diskless mesh/0", "wipe-md --force small",
        "status", "sh-nop", "sh-resources", "sh-mod-parms",
    ])
    func `targets and options are understood alike`(line: String) throws {
        let oracle = try Oracle(file: Oracle.example("drbd-compatible.res"), node: "alpha")
        try oracle.compare(["-d"] + line.split(separator: " ").map(String.init))
    }

    @Test(arguments: [
        "frob small", "primary nope", "primary mesh/0", "connect mesh/0", "connect mesh:nope",
        "attach mesh/9", "primary", "new-current-uuid mesh", "down --force small",
        "primary --frob small",
    ])
    func `refused command lines have the same exit code`(line: String) throws {
        let oracle = try Oracle(file: Oracle.example("drbd-compatible.res"), node: "alpha")
        let arguments = ["-d"] + line.split(separator: " ").map(String.init)
        let (theirs, ours) = try oracle.run(arguments)
        #expect(ours.exitCode == theirs.exitCode)
        #expect(ours.exitCode == 1)
        #expect(!ours.errors.isEmpty)
    }

    @Test("TOOL-04 what drbdadm refuses is refused at the same line", arguments: Self.refused)
    func samePlaces(text: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("t.res")
        let file = "global { disable-ip-verification; }\n" + text + "\n"
        // A second global section is itself the fault, so the first one stands alone there.
        let content = text.hasPrefix("global") ? text : file
        try content.write(toFile: path, atomically: true, encoding: .utf8)
        let oracle = try Oracle(path: path, node: "alpha")
        let (theirs, ours) = try oracle.run(["dump"])
        #expect(theirs.exitCode == 10)
        #expect(ours.exitCode == 10)
        let places = Set(Oracle.places(ours.errors, path))
        #expect(places == Set(Oracle.places(theirs.errors, path)))
        #expect(!places.isEmpty)
    }

    @Test(
        "TOOL-04 statements of a volume may be repeated where drbdadm lets them",
        arguments: Self.repeats
    )
    func repeatedVolumes(shared: String, ofHost: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("t.res")
        try Self.file(shared, ofHost).write(toFile: path, atomically: true, encoding: .utf8)
        let oracle = try Oracle(path: path, node: "alpha")
        let (theirs, _) = try oracle.run(["dump"])
        #expect(theirs.exitCode == 0, "\(theirs.errors)")
        // It shows `disk none;` in a second section with options only, and does not mean it.
        if !shared.contains("al-extents") { try oracle.compare(["dump"]) }
        try oracle.compare(["-d", "up", "r"])
        try oracle.compare(["sh-ll-dev", "r"])
    }

    @Test("TOOL-04 volumes that drbdadm takes for a mixture are refused", arguments: Self.mixtures)
    func mixedVolumes(shared: String, alpha: String, beta: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("t.res")
        try Self.file(shared, alpha, beta).write(toFile: path, atomically: true, encoding: .utf8)
        let (theirs, ours) = try Oracle(path: path, node: "alpha").run(["dump"])
        #expect(theirs.exitCode == 10, "\(theirs.text)")
        #expect(ours.exitCode == 10, "\(ours.text)")
    }

    private static func file(_ shared: String, _ alpha: String, _ beta: String? = nil) -> String {
        """
        global { disable-ip-verification; }
        resource r {
            \(shared)
            on alpha { node-id 0; address 10.0.0.1:1; \(alpha) }
            on beta { node-id 1; address 10.0.0.2:1; \(beta ?? alpha) }
        }

        """
    }

    /// What stands in the resource, and in each host.
    private static let repeats: [(String, String)] = [
        ("device minor 1; disk /dev/a; disk /dev/b;", ""),
        ("device minor 1; disk none; disk /dev/b; meta-disk /dev/m[3]; meta-disk internal;", ""),
        ("device minor 1; disk /dev/a; meta-disk internal; volume 0 { device minor 2; }", ""),
        ("disk /dev/a; volume 0 { device minor 2; disk /dev/b; meta-disk /dev/m; }", ""),
        ("volume 0 { device minor 1; disk /dev/a; } volume 0 { device minor 2; disk /dev/b; }", ""),
        (
            """
            volume 0 { device minor 2; disk { c-max-rate 1M; } }
            volume 0 { disk /dev/b; meta-disk /dev/m; disk { c-min-rate 2M; al-extents 67; } }
            """, ""
        ),
        (
            """
            volume 1 { device minor 2; disk /dev/b; } volume 0 { device minor 1; disk /dev/a; }
            volume 1 { device minor 3; disk /dev/c; }
            """, ""
        ),
        ("device minor 1; disk /dev/a;", "volume 0 { device minor 2; disk /dev/b; }"),
        ("device minor 1; meta-disk /dev/m;", "volume 0 { disk /dev/b; }"),
        (
            "device minor 1; disk /dev/a;",
            "volume 0 { disk /dev/b; } volume 1 { device minor 2; disk /dev/c; }"
        ),
        ("volume 0 { device minor 1; disk /dev/a; }", "device minor 2; disk /dev/b;"),
        ("volume 0 { device minor 1; disk /dev/a; meta-disk /dev/m; }", "disk /dev/b;"),
        ("volume 0 { device minor 1; device minor 2; disk /dev/a; disk /dev/b; }", ""),
        ("volume 0 { device /dev/drbd_x minor 1; device minor 2; disk /dev/a; disk none; }", ""),
        (
            "",
            """
            volume 0 { device minor 1; device minor 2; disk /dev/a; meta-disk /dev/m;
            disk { c-max-rate 1M; } meta-disk internal; disk { c-min-rate 1M; } }
            """
        ),
    ]

    /// What stands in the resource, and in the hosts.
    private static let mixtures: [(String, String, String)] = [
        ("device minor 1; device minor 2; disk /dev/a;", "", ""),
        ("device minor 1; disk /dev/a; volume 1 { device minor 2; disk /dev/b; }", "", ""),
        ("volume 0 { device minor 1; disk /dev/a; } meta-disk internal;", "", ""),
        (
            "device minor 1; disk /dev/a;", "volume 1 { device minor 2; disk /dev/b; }",
            "volume 1 { device minor 2; disk /dev/b; }"
        ),
        ("", "device minor 1; disk /dev/a;", "volume 0 { device minor 1; disk /dev/a; }"),
        ("device minor 1; disk /dev/a;", "volume 0 { disk /dev/b; }", ""),
        ("volume 0 { device minor 1; disk /dev/a; }", "disk /dev/b;", ""),
        (
            "", "device minor 1; disk /dev/a; disk /dev/b;",
            "device minor 1; disk /dev/a; disk /dev/b;"
        ),
        (
            "", "volume 0 { device minor 1; disk /dev/a; } volume 0 { device minor 1; }",
            "volume 0 { device minor 1; disk /dev/a; } volume 0 { device minor 1; }"
        ),
        ("device minor 1; disk /dev/a; meta-disk internal[0];", "", ""),
    ]

    @Test(arguments: 0..<60)
    func `generated files are understood alike`(seed: UInt64) throws {
        var generator = ResourceFileGenerator(seed: seed)
        let text = generator.file()
        let folder = try TemporaryFolder()
        let path = folder.file("generated.res")
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let oracle = try Oracle(path: path, node: Self.nodes[Int(seed % 2)])
        try oracle.compare(["dump"])
        try oracle.compare(["-v", "dump"])
        for verb in ["up", "adjust", generator.verb(), generator.verb(), generator.verb()] {
            try oracle.compare(["-d", verb, "all"])
        }
    }

    @Test(arguments: [
        ("", ""), ("quorum majority", "quorum off"), ("8192", "8191"), ("20971520s", "1000s"),
        ("al-extents 3000;", "al-extents 3001;"), ("\"/dev/m\"", "internal"),
        ("minor 11", "minor 12"), ("disk \"/dev/b\"; meta-disk \"/dev/m\";", ""),
        ("node-id 0;", "node-id 0; volume 7 { device minor 17; }"),
        ("10.0.0.2:7789", "10.0.0.9:7789"),
        ("_peer_node_id 1;", "_peer_node_id 1; _is_standalone;"),
        ("_peer_node_id 1;", "_peer_node_id 3;"), ("40960k", "1024k"),
        ("connection {", "connection { _peer_node_id 5; net { _name \"old\"; } } connection {"),
        (
            "net {",
            "path { _this_host ipv4 10.3.0.1:1; _remote_host ipv4 10.3.0.2:1; } net {"
        ),
    ])
    func `adjust finds the differences that drbdadm finds`(part: String, other: String) throws {
        let folder = try TemporaryFolder()
        let (path, state) = (folder.file("t.res"), folder.file("running"))
        let file = "global { disable-ip-verification; }\n" + AdjustSample.file
        try file.write(toFile: path, atomically: true, encoding: .utf8)
        let running =
            part.isEmpty
            ? AdjustSample.running : AdjustSample.running.replacing(part, with: other)
        try running.write(toFile: state, atomically: true, encoding: .utf8)
        try Oracle(path: path, node: "alpha", running: state).compare(["-d", "adjust", "r"])
    }

    private static let refused: [String] = [
        "resource r { net { foo 1; } }",
        "resource r {\n foo { } }",
        "resource net { }",
        "resource r { net { ping-int 3 } }",
        "resource r { net { ping-int 3; ",
        "resource r {\n on alpha { address foo:1; } }",
        "\nfoo",
        "include nofile;",
        """
        resource r { net {
         max-buffers 1; ping-int abc;
         after-sb-0pri foo; always-asbp maybe;
         max-epoch-size 500k; } }
        """,
        "resource r { on alpha { node-id 33; } }",
        "resource r { on alpha {\naddress 1.2.3.4:70000; } }",
        "resource r {\n device /dev/sda; }",
        "resource r { device /dev/drbd5 minor 6; }",
        "resource r {\n device /dev/drbdx; }",
        "resource r { volume 1k { } }",
        "resource r { connection { host a; host b; host c; } }",
        "resource r {\n connection { net { } net { } } }",
        "resource r { net { } \n net { } }",
        "global { usage-count yes; } global { }",
        "common { } \n\n common { }",
        "resource r { device minor 1; disk /dev/a; }",
        """
        resource r { device minor 1; disk /dev/a; on alpha { node-id 0; address 10.0.0.1:1; }
        on beta { node-id 0; address 10.0.0.2:1; } }
        """,
        """
        resource r { device minor 1; disk /dev/a; on alpha { node-id 0; address 10.0.0.1:1; }
        on beta { node-id 1; address 10.0.0.2:1; } connection { host alpha; host foo; } }
        """,
        "resource r { net { sndbuf-size 1k 2; } }",
        "resource r { net { shared-secret \"a\nb\"; } }",
    ]
}
