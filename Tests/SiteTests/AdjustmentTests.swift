// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `up` and `adjust` of what already runs, and what they say about it.
@Suite(.serialized) struct AdjustmentTests {
    @Test("TOOL-15 TOOL-27 up again and adjust read back options that need quotes")
    func again() throws {
        let port = try freePort()
        let sites = try TwoSites(
            TwoSites.Layout(
                lines: """
                    options { nbd-listen "127.0.0.1:\(port)"; }
                    net { cram-hmac-alg sha256; shared-secret "hello \\"world\\" \\\\ ;"; }
                    disk { resync-ratio "3:1"; }
                    """
            )
        )
        try sites.startEngine(.alpha)
        try sites.run("bsradm", .alpha, "create-md all")
        for verb in ["up", "up", "adjust"] { try sites.run("bsradm", .alpha, "\(verb) all") }
        let before = try sites.run("bsrsetup", .alpha, "show")
        #expect(before.contains("\"127.0.0.1:\(port)\""), "\(before)")
        #expect(try sites.run("bsradm", .alpha, "-d adjust all") == "")
    }

    @Test("changed disk options that wait for the next attach are named, others are not")
    func later() throws {
        let sites = try TwoSites(TwoSites.Layout(lines: "disk { size 8M; al-extents 100; }"))
        try sites.startEngine(.alpha)
        try sites.run("bsradm", .alpha, "create-md r0")
        try sites.run("bsradm", .alpha, "up r0")
        let waits = try self.adjust(sites, "disk { size 8M; al-extents 200; md-flushes no; }")
        #expect(waits.contains("changed al-extents take effect at the next attach"), "\(waits)")
        let atOnce = try self.adjust(sites, "disk { size 8M; al-extents 200; md-flushes yes; }")
        #expect(atOnce == "")
        // The size is still that of the attach: nothing is left to adjust.
        #expect(try sites.run("bsradm", .alpha, "-d adjust all") == "")
    }

    @Test("an al-extents that the activity log does not hold is said to be reduced")
    func reduced() throws {
        let sites = try TwoSites(TwoSites.Layout(lines: "disk { al-extents 65534; }"))
        try sites.startEngine(.alpha)
        try sites.run("bsradm", .alpha, "create-md r0")
        let output = try sites.tool("bsradm", .alpha, "up r0")
        #expect(output.exitCode == 0)
        let sentence =
            "resource r0 volume 0: al-extents 65534 is more than the activity log on disk holds; "
            + "6433 are used"
        #expect(output.errors.contains(sentence), "\(output.errors)")
        #expect(sites.engine(.alpha).log.contains(sentence))
    }

    @Test("attach of an attached volume is refused with drbdsetup's number")
    func attachTwice() throws {
        let sites = try TwoSites()
        try sites.startEngine(.alpha)
        try sites.run("bsradm", .alpha, "create-md r0")
        try sites.run("bsradm", .alpha, "up r0")
        let output = try sites.tool("bsradm", .alpha, "attach r0")
        #expect(output.exitCode == 10)
        #expect(output.errors.contains("Failure: (124) "), "\(output.errors)")
        #expect(!output.errors.contains("lock"), "\(output.errors)")
        try sites.run("bsradm", .alpha, "detach r0")
        try sites.run("bsradm", .alpha, "attach r0")
    }

    private func adjust(_ sites: TwoSites, _ lines: String) throws -> String {
        var text = try String(contentsOfFile: sites.configuration, encoding: .utf8)
        let old = try #require(text.range(of: "disk \\{.*\\}\n", options: .regularExpression))
        text.replaceSubrange(old, with: lines + "\n")
        try text.write(toFile: sites.configuration, atomically: true, encoding: .utf8)
        let output = try sites.tool("bsradm", .alpha, "adjust all")
        #expect(output.exitCode == 0, "\(output.errors)")
        return output.errors
    }
}
