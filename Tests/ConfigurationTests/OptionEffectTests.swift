// SPDX-License-Identifier: Apache-2.0
import Configuration
import TestSupport
import Testing

/// What comes of each option: it is honoured, refused, or accepted with a word about it.
struct OptionEffectTests {
    @Test("TOOL-04 every option that is not built is refused or named unless it has its default")
    func everyOption() throws {
        for entry in OptionTable.entries {
            for sample in entry.samples {
                guard let value = try? entry.value(of: sample) else { continue }
                let options = [(name: entry.name, value: sample)]
                let refusal = OptionTable.refusals(of: options, in: entry.section).first
                let named = OptionTable.withoutEffect(options, in: entry.section)
                let isDefault = value == entry.defaultValue
                switch entry.effect {
                case .honoured:
                    #expect(refusal == nil && named == [], "\(entry.name) \(sample)")
                case .refused(let except, let ignored):
                    let isAccepted = isDefault || except.contains(sample)
                    #expect((refusal == nil) == isAccepted, "\(entry.name) \(sample)")
                    #expect(refusal?.hasPrefix("\(entry.name) \(sample) is not") ?? true)
                    #expect(named == (ignored.contains(sample) ? [entry.name] : []))
                case .withoutEffect:
                    #expect(refusal == nil, "\(entry.name) \(sample)")
                    #expect(named == (isDefault ? [] : [entry.name]), "\(entry.name) \(sample)")
                }
            }
        }
    }

    @Test(arguments: [
        ("options { persist-role yes; }", "persist-role yes is not supported yet; leave it out"),
        ("disk { resync-after r/0; }", "resync-after r/0 is not supported yet; leave it out"),
        ("disk { disk-timeout 10; }", "disk-timeout 10 is not supported yet; leave it out"),
        ("disk { al-updates no; }", "al-updates no is not supported yet; leave it out"),
        (
            "disk { on-io-error pass_on; }",
            "on-io-error pass_on is not supported yet; use detach, or leave it out"
        ),
        ("net { on-congestion pull-ahead; }", "on-congestion pull-ahead is not supported yet"),
        (
            "on gamma { node-id 2; address 10.0.0.3:7789; }",
            "it has 2 peers (beta, gamma); a resource of more than two nodes is not supported yet"
        ),
        (
            """
            connection { path { host alpha address 10.0.0.1:1; host beta address 10.0.0.2:1; }
            path { host alpha address 10.1.0.1:1; host beta address 10.1.0.2:1; } }
            """,
            "the connection to beta has 2 paths; more than one is not supported yet"
        ),
    ])
    func `up refuses a resource that asks for what is not built`(lines: String, problem: String)
        throws
    {
        var text = twoNodes(lines)
        // A volume resyncs after one of another resource.
        if lines.contains("resync-after") {
            text =
                twoNodes(lines.replacing("r/0", with: "s/0"))
                + twoNodes("", name: "s").replacing("minor 1", with: "minor 2")
                .replacing("/dev/a", with: "/dev/b").replacing("7789", with: "7790")
        }
        let refusal = try Self.view(text).refusals.first
        let expected =
            lines.contains("resync-after") ? "resync-after 2 is not supported yet" : problem
        #expect(refusal?.hasPrefix(expected) == true, "\(refusal ?? "none")")
    }

    @Test
    func `up names all that is not built at once`() throws {
        let text = twoNodes(
            "net { data-integrity-alg crc32c; verify-alg crc32c; } disk { disk-timeout 10; }"
        )
        #expect(
            try Self.view(text).refusals.map { $0.prefix { $0 != " " } }.sorted()
                == ["data-integrity-alg", "disk-timeout", "verify-alg"]
        )
    }

    @Test
    func `a relay's connection names all that is not built, and where it stands`() throws {
        let configuration = try parse(
            """
            resource r {
            proxy { bwlimit 10M;
            read-loops 4; plugin { zstd level 1;
            crypto openssl; } }
            device minor 1; disk /dev/a; meta-disk internal;
            on alpha { node-id 0; address 10.0.0.1:7789;
            proxy on alpha { inside 10.0.0.1:1; outside 10.0.0.1:2; } }
            on beta { node-id 1; address 10.0.0.2:7789;
            proxy on beta { inside 10.0.0.2:1; outside 10.0.0.2:2; } }
            }
            """
        )
        let connection = try #require(try configuration.relayConnections(on: "alpha").first)
        #expect(
            connection.refusals.sorted() == [
                "bwlimit 10M is not supported yet; leave it out (/etc/t.res:2)",
                "crypto openssl is not supported yet; leave it out (/etc/t.res:4)",
                "read-loops 4 is not supported yet; leave it out (/etc/t.res:3)",
            ]
        )
    }

    @Test
    func `up refuses what only concerns this node`() throws {
        let text = """
            resource r { device minor 1; disk /dev/a;
            on alpha { node-id 0; address 10.0.0.1:7789; options { target-only yes; } }
            on beta { node-id 1; address 10.0.0.2:7789; } }
            """
        #expect(
            try Self.view(text).refusals == [
                "target-only yes is not supported yet; leave it out (/etc/t.res:2)"
            ]
        )
        #expect(try Self.view(text, on: "beta").refusals == [])
        let misplaced = text.replacing("target-only yes", with: "nbd-listen \"127.0.0.1:1\"")
        #expect(try Self.view(misplaced).optionsWithoutEffect == ["nbd-listen"])
    }

    @Test
    func `one line names all that has no effect yet, each once`() throws {
        let view = try Self.view(
            twoNodes(
                """
                options { cpu-mask 3; }
                net { max-buffers 8k; tcp-cork no; timeout 50; protocol C; }
                disk { c-max-rate 100M; on-io-error passthrough; al-extents 100; }
                handlers { split-brain "/bin/true"; }
                """
            )
        )
        #expect(view.refusals == [])
        #expect(
            OptionTable.notice(view.optionsWithoutEffect + ["tcp-cork"], of: "r")
                == "resource r: accepted, without effect yet: cpu-mask, on-io-error, tcp-cork, "
                + "max-buffers, c-max-rate, split-brain"
        )
        let plain = try Self.view(twoNodes("net { timeout 50; max-buffers 16000; }"))
        #expect(OptionTable.notice(plain.optionsWithoutEffect, of: "r") == nil)
    }

    private static func view(_ text: String, on node: String = "alpha") throws -> NodeView {
        let configuration = try parse(text)
        let resource = try #require(configuration.resources.first)
        return try #require(
            try configuration.view(of: resource, on: NodeIdentity(name: node))
        )
    }
}
