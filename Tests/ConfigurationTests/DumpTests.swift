// SPDX-License-Identifier: Apache-2.0
import Configuration
import Testing

struct DumpTests {
    @Test(arguments: ["drbd-compatible.res", "bsr.res"])
    func `what is dumped parses to the same dump`(name: String) throws {
        let first = try dump(try parse(try example(name)))
        let second = try dump(try parse(first))
        let isPlace = { (line: Substring) in line.hasPrefix("# ") }
        #expect(
            second.split(separator: "\n").filter { !isPlace($0) }
                == first.split(separator: "\n").filter { !isPlace($0) }
        )
        #expect(first.contains("# defined at /etc/t.res:"))
    }

    @Test(arguments: ["drbd-compatible.res", "bsr.res"])
    func `everything expanded means the same`(name: String) throws {
        let original = try parse(try example(name))
        let text = try dump(original, expanded: true)
        let expanded = try parse(text)
        for (one, other) in zip(original.resources, expanded.resources) {
            for node in ["alpha", "beta", "gamma", "delta"] {
                let identity = NodeIdentity(name: node)
                let before = try original.view(of: one, on: identity)
                let after = try expanded.view(of: other, on: identity)
                #expect(before?.volumes.map(\.minor) == after?.volumes.map(\.minor))
                #expect(before?.volumes.map(\.backing) == after?.volumes.map(\.backing))
                #expect(before?.peers.map(\.routes) == after?.peers.map(\.routes))
                let options = { (view: NodeView?) in
                    view?.peers.map { Set($0.net.settings.map { "\($0.name) \($0.value)" }) }
                }
                #expect(options(before) == options(after))
            }
        }
    }

    @Test
    func `aligns statements in drbdadm's columns`() throws {
        let text = try dump(
            try parse(
                """
                global { usage-count no; }
                resource r { volume 1 { device /dev/drbd_x minor 3; disk /dev/a;
                meta-disk /dev/m[2]; disk { size 10G; resync-rate 1M; } }
                on alpha beta { node-id 0; address ipv6 [fd00::1]:7789; options { quorum 2; } }
                net { shared-secret "a \\"b\\" \\\\"; cram-hmac-alg ""; } }
                """
            )
        )
        #expect(
            text == """
                # /etc/t.res
                global {
                    usage-count no;
                }

                # resource r on alpha: not ignored, not stacked
                # defined at /etc/t.res:2
                resource r {
                    volume 1 {
                        disk {
                            size         10G;
                            resync-rate   1M;
                        }
                        device           /dev/drbd_x minor 3;
                        disk             /dev/a;
                        meta-disk        /dev/m [2];
                    }
                    on alpha beta {
                        node-id 0;
                        options {
                            quorum         2;
                        }
                        address          ipv6 [fd00::1]:7789;
                    }
                    net {
                        shared-secret    "a \\"b\\" \\\\";
                        cram-hmac-alg     "";
                    }
                }


                """
        )
    }

    @Test(arguments: [
        ("abc/._-9", "abc/._-9"), ("", "\"\""), ("a b", "\"a b\""), ("3:1", "\"3:1\""),
        ("a\"b\\c", "\"a\\\"b\\\\c\""), (String(repeating: "a", count: 81), nil),
    ])
    func `quotes what the grammar could not read`(value: String, expected: String?) {
        #expect(Dump.value(value) == expected ?? "\"\(value)\"")
    }
}
