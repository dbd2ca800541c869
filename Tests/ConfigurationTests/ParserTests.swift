// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation
import Primitives
import Testing

struct ParserTests {
    @Test("RES-16 a resource file describes options, disks, links and hosts")
    func readsAResource() throws {
        let text = twoNodes("net { protocol A; no-tcp-cork; always-asbp; } disk { size 1G; }")
        let resource = try #require(try parse(text).resource(named: "r"))
        #expect(resource.hosts.map(\.names) == [["alpha"], ["beta"]])
        #expect(resource.hosts[1].address?.argument == "ipv4:10.0.0.2:7789")
        #expect(
            resource.sections.net.settings.map(\.name) == ["protocol", "tcp-cork", "always-asbp"]
        )
        #expect(resource.sections.net["tcp-cork"] == "no")
        #expect(resource.sections.net["always-asbp"] == "yes")
        #expect(resource.sections.disk["size"] == "1G")
        #expect(resource.volumes.first?.backingPath == "/dev/a")
    }

    @Test(
        "nbd-listen takes an address with and without quotes",
        arguments: [
            ("127.0.0.1:10809", "127.0.0.1:10809"), ("\"127.0.0.1:10809\"", "127.0.0.1:10809"),
            ("[::1]:10809", "[::1]:10809"), ("ipv4:10.0.0.1", nil), ("127.0.0.1", nil),
            ("127.0.0.1:0", nil), ("\"nonsense\"", nil),
        ] as [(String, String?)]
    )
    func readsAnAddressOption(written: String, expected: String?) throws {
        let text = twoNodes("options { nbd-listen \(written); }")
        guard let expected else {
            #expect(refusal(of: text) != nil)
            return
        }
        let resource = try #require(try parse(text).resource(named: "r"))
        #expect(resource.sections.options["nbd-listen"] == expected)
    }

    @Test(
        "TOOL-04 a fault is refused with file, line and rule",
        arguments: [
            (
                "resource r {\n net { ping-int 3 }\n}",
                ":2: Parse error: ';' expected,\n\tbut got '}'"
            ),
            (
                "resource r {\n net { pong 3; }\n}",
                ":2: Parse error: 'transport | protocol | timeout"
            ),
            (
                "resource net { }",
                ":1: Parse error: 'a resource name' expected,\n\tbut got 'net' (a key"
            ),
            ("\n\nfoo", ":3: Parse error: 'global | common | resource | skip | include |"),
            ("resource r {", ":1: Parse error: 'protocol | on | on-linux"),
            ("resource r { net { ping-int 3;", "but got the end of the file"),
            ("resource r { @ }", "but got '@'"),
            (
                "resource r { net { shared-secret \"abc\n\"; } }",
                ":1: Parse error: 'a value for shared"
            ),
            ("global { usage-count maybe; }", ":1: Parse error: 'yes | no | ask' expected"),
            ("global { minor-count 256; }", "minor-count 256 => 256 out of range [1..255]."),
            ("global { } \n global { }", ":2: conflicting use of global section 'global' ..."),
            ("common { }\ncommon { }", ":2: conflicting use of resource section 'common' ..."),
            (
                "common { on alpha { } }",
                "'options | net | disk | startup | handlers | proxy | skip"
            ),
            (
                "resource r { on a { volume 0 { } volume 0 { } } }",
                "conflicting use of volume section '0'"
            ),
            ("resource r { volume 65535 { } }", "volume 65535 => 65535 out of range [0..65534]."),
            ("resource r { volume 1k { } }", "'a number for volume' expected"),
            (
                "resource r { device /dev/sda; }",
                "device name must start with /dev/drbd or /dev/bsr"
            ),
            ("resource r { device /dev/drbd5 minor 6; }", "explicit minor number must match"),
            (
                "resource r { device /dev/drbdx; }",
                "no minor given nor device name contains a minor"
            ),
            ("resource r { device /dev/drbd9999999; }", "minor 9999999 => 9999999 out of range"),
            (
                "resource r { device minor 1; device minor 2; }",
                "conflicting use of device statement"
            ),
            ("resource r { device minor 1; volume 1 { } }", "in resource r"),
            (
                "resource r { volume 1 { } device minor 1; }",
                "you must not mix implicit and explicit"
            ),
            ("resource r { on a { node-id 32; } }", "node-id 32 => 32 out of range [0..31]."),
            ("resource r { on a { address 1.2.3.4:0; } }", "port 0 => 0 out of range [1..65535]."),
            ("resource r { on a { address 1.2.3.444:1; } }", "'1.2.3.444' is not an address"),
            (
                "resource r { on a { address foo:1; } }",
                "'ssocks | sdp | ipv4 | ipv6 | <ipv4 address> '"
            ),
            ("resource r { on a { address ipv6 [1::2::3]:1; } }", "'1::2::3' is not an address"),
            ("resource r { on a { address ipv6 [::1:1; } }", "an IPv6 address in brackets"),
            (
                "resource r { on a { proxy on p { inside 1.2.3.4:1; } } }",
                "'outside' keyword missing"
            ),
            ("resource r { connection { host a; host b; host c; } }", "only two 'host' keywords"),
            ("resource r { connection { net { } net { } } }", "only one 'net' section allowed"),
            ("resource r { connection { host a; path { } } }", "can not be mixed"),
            ("resource r { net { } \n net { } }", ":2: conflicting use of net section 'r:net' ..."),
            (
                "resource r { net { timeout 9; \n timeout 8; } }",
                ":2: conflicting use of option 'timeout'"
            ),
            (
                "resource r { protocol A; net { protocol B; } }",
                "conflicting use of option 'protocol'"
            ),
            ("include \"nothing\";", "Failed to open include file '/etc/nothing': No such file"),
            ("resource r { template-file none; }", "Failed to open template file 'none'"),
            ("skip resource r { { }", "} for the skip of line 1"),
            ("resource r { disk { fencing dont-care; } }", "'size | on-io-error"),
            ("require-drbd-module-version-xx 9.0.0;", "{eq,ne,gt,ge,lt,le}"),
        ]
    )
    func refusesWithLine(text: String, expected: String) throws {
        let message = try #require(refusal(of: text))
        #expect(message.hasPrefix("/etc/t.res:"))
        #expect(message.contains(expected), "\(message)")
    }

    @Test(
        "RES-03 a resource name is ASCII without spaces",
        arguments: [
            "\"a b\"", "\"ü\"", "a/b", "\"a:b\"", "all", "minor-3", "\"\\\"\"", "-d", "..",
        ]
    )
    func refusesResourceName(name: String) throws {
        let message = try #require(refusal(of: twoNodes("", name: name)))
        #expect(message.contains("is no name for a resource"))
        #expect(refusal(of: twoNodes("", name: "\"a+b.c-d_e\"")) == nil)
    }

    @Test("TOOL-04 all refused values are told in one run")
    func collectsValueErrors() throws {
        let message = try #require(
            refusal(
                of: """
                    resource r { net { max-buffers 1; ping-int abc;
                    after-sb-0pri foo; always-asbp maybe; }
                    disk { c-max-rate 5000G; } }
                    """
            )
        )
        #expect(message.components(separatedBy: "Parse error").count == 6)
        #expect(
            message.contains("t.res:1: Parse error: while parsing value ('1')\nfor max-buffers.")
        )
        #expect(message.contains("t.res:2: Parse error: while parsing value ('maybe')"))
        #expect(message.contains("t.res:3: Parse error: while parsing value ('5000G')"))
    }

    @Test(arguments: Self.contradictions)
    func `sections that contradict each other are refused`(text: String, expected: String) throws {
        let message = try #require(refusal(of: text))
        #expect(message.hasPrefix("/etc/t.res:"))
        #expect(message.contains(expected), "\(message)")
    }

    @Test
    func `includes beside the file, by pattern and only once`() throws {
        let files = [
            "/etc/bsr.d/a.res": twoNodes(""),
            "/etc/bsr.d/b.res": "include \"a.res\"; common { net { protocol B; } }",
        ]
        let text = "include \"bsr.d/*.res\"; include \"bsr.d/*.none\"; include bsr.d/a.res;"
        let configuration = try parse(text, with: files)
        #expect(configuration.resources.map(\.position.file) == ["/etc/bsr.d/a.res"])
        #expect(configuration.common?.net["protocol"] == "B")
    }

    @Test
    func `files that include each other without end are refused`() {
        var files: [String: String] = [:]
        for index in 0..<100 { files["/etc/\(index)"] = "include \"\(index + 1)\";" }
        let message = refusal(of: "include \"0\";", with: files)
        #expect(message?.contains("more than 16 deep") == true)
        #expect(refusal(of: "include t.res;") == nil)
    }

    @Test
    func `a template takes the place of common`() throws {
        let files = ["/etc/low": "common { net { ping-int 9; } }"]
        let text = "common { net { timeout 50; } }" + twoNodes("template-file low;")
        let configuration = try parse(text, with: files)
        let expanded = try configuration.expanded(configuration.resources[0])
        #expect(expanded.sections.net["ping-int"] == "9")
        #expect(expanded.sections.net["timeout"] == nil)
        #expect(expanded.templateFile == "/etc/low")
    }

    @Test
    func `skipped sections are not read but must close`() throws {
        let text = "skip a b \"c\" { x { y; } @ } " + twoNodes("skip net { ping-int x; }")
        #expect(try parse(text).resources.count == 1)
        let deep = "skip a " + String(repeating: "{", count: 1000)
        #expect(refusal(of: deep)?.contains("nests deeper than 64") == true)
    }

    @Test
    func `limits of words, files and lists hold`() {
        let long = String(repeating: "a", count: 129)
        #expect(refusal(of: "resource \(long) { }")?.contains("which is too long") == true)
        let quoted = "\"" + String(repeating: "a", count: 256) + "\""
        #expect(refusal(of: "resource \(quoted) { }")?.contains("which is too long") == true)
        let big = String(repeating: "#\n", count: Limits.fileBytes / 2 + 1)
        #expect(refusal(of: big)?.contains("a configuration file has at most") == true)
        let hosts = (0...32).map { "on h\($0) { }" }.joined()
        #expect(refusal(of: "resource r { \(hosts) }")?.contains("more than 32 host") == true)
        let plugins = String(repeating: "lz4;", count: 17)
        let proxy = refusal(of: "common { proxy { plugin { \(plugins) } } }")
        #expect(proxy?.contains("more than 16 plugin lines") == true)
    }

    @Test
    func `reads what bsr and we add to the grammar`() throws {
        let text = try example("bsr.res").replacing("# not yet: crypto", with: "crypto")
        let configuration = try parse(text)
        let first = try #require(configuration.resource(named: "r0"))
        #expect(first.hosts[0].nodeName == "alpha in rack 4")
        #expect(first.hosts[0].group == "1")
        #expect(first.volumes[1].device?.path == "/dev/bsr2")
        #expect(first.hosts[0].options["svc-auto-up"] == "yes")
        let relays = try configuration.relayConnections(on: "alpha")
        #expect(relays.map(\.name) == ["dr-gamma-alpha"])
        let options = try #require(try relays.first?.settings.typed())
        #expect(options.plugins == [.compressor(.zstd, level: 1), .encryption("openssl")])
        #expect(options.memoryLimit == .mebibytes(2048))
        #expect(relays.first?.peerOutside.endpoint == "198.51.100.1:7792")
    }

    private static let contradictions: [(String, String)] = [
        ("resource r { device minor 1; disk /dev/a; }", "a host section ('on alpha { ... }') is"),
        (twoNodes("on alpha { node-id 2; }"), "There are multiple host sections for this node."),
        (
            twoNodes("on gamma { address 10.0.0.3:1; }"),
            "on gamma { ... }: 'node-id' keyword missing."
        ),
        (twoNodes("on c { node-id 1; address 10.0.0.3:1; }"), "conflicting use of node-id 'r:1'"),
        (twoNodes("connection { host alpha; host foo; }"), "a hostname (\"foo\") is given"),
        (twoNodes("connection { host alpha; }"), "connection needs to have two endpoints"),
        (twoNodes("connection { host alpha; host alpha; }"), "is used for both endpoints"),
        (twoNodes("connection { path { host alpha; } }"), "path needs to have two endpoints"),
        (twoNodes("connection { }"), "connection without a single path"),
        (
            twoNodes("connection { host alpha; host beta; } connection { host beta; host alpha; }"),
            "conflicting use of connection 'alpha-beta'"
        ),
        (twoNodes("connection-mesh { hosts alpha foo; }"), "no 'on' section for hostname 'foo'"),
        (
            twoNodes("connection { host alpha; host beta; volume 7 { disk { bitmap no; } } }"),
            "reference to a volume 7 that is not known"
        ),
        (twoNodes("") + twoNodes("", name: "q"), "conflicting use of device-minor"),
        (
            twoNodes("") + twoNodes("", name: "q"),
            "ipv4:10.0.0.1:7789 is also used /etc/t.res:1 (resource r)"
        ),
        ("resource r { disk /dev/a; on a { node-id 0; address 10.0.0.1:1; } }", "'device' keyword"),
        ("resource r { device minor 1; on a { node-id 0; } }", "'disk' keyword missing"),
        ("resource r { stacked-on-top-of q { node-id 0; } }", "stacked-on-top-of q: no such"),
        (
            """
            resource r { volume 0 { device minor 1; disk /dev/a; }
            on a { node-id 0; address 10.0.0.1:1; volume 1 { device minor 2; disk /dev/b; } }
            on b { node-id 1; address 10.0.0.2:1; } }
            """,
            "volume 1 not defined on b"
        ),
        (
            twoNodes(
                "connection { host alpha via proxy on p { inside 10.0.0.1:1; "
                    + "outside 10.0.0.1:2; } host beta; }"
            ),
            "either both endpoints of a path have a proxy or none"
        ),
    ]
}
