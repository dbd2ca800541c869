// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// An engine with nothing configured.
@Suite(
    .serialized,
    .enabled(if: Tool.nbdinfo.isPresent, "needs nbdinfo (Debian: libnbd-bin)")
)
struct EmptyEngineTests {
    @Test("a fresh engine answers NBD clients at once, also after a kill: it has no exports")
    func listsNothing() throws {
        let sites = try TwoSites()
        for _ in 0..<2 {
            try sites.startEngine(.alpha)
            let socket = sites.runDirectory(.alpha) + "/nbd.sock"
            let information = try FileManager.default.attributesOfItem(atPath: socket)
            #expect(information[.posixPermissions] as? Int == 0o600)
            let list = try Tool.nbdinfo.run(["--list", "--json", "nbd+unix://?socket=\(socket)"])
            #expect(list.exitCode == 0, "\(list.everything)")
            let parsed = try JSONSerialization.jsonObject(with: Data(list.text.utf8))
            #expect(((parsed as? [String: Any])?["exports"] as? [Any])?.isEmpty == true)
            try sites.engine(.alpha).kill()
        }
    }
}
