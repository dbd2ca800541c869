// SPDX-License-Identifier: Apache-2.0

import LinkSimulation
import Primitives
import Testing

struct SettingsTests {
    @Test(
        arguments: [
            ("8k", 8_000), ("100M", 100_000_000), ("1.5G", 1_500_000_000), ("64K", 64_000),
            ("9600", 9_600), ("100G", 100_000_000_000),
        ] as [(String, UInt64)]
    )
    func `reads a rate`(_ text: String, _ rate: UInt64) throws {
        #expect(try LinkSettings.rate(text) == rate)
    }

    @Test func `reads no limit`() throws { #expect(try LinkSettings.rate("unlimited") == nil) }

    @Test(arguments: [
        "", "M", "-1M", "0", "7k", "101G", "1e9", "nan", "inf", "10 M", "10Mb", "0x10M", "1.2.3M",
        String(repeating: "9", count: 400),
    ])
    func `refuses a rate that is none, and names it`(_ text: String) {
        let error = #expect(throws: LinkError.self) { try LinkSettings.rate(text) }
        #expect("\(error as Any)".contains("'\(text)'"))
    }

    @Test(
        arguments: [("0", 0), ("25", 25_000_000), ("0.5", 500_000), ("60000", 60_000_000_000)]
            as [(String, UInt64)]
    )
    func `reads milliseconds`(_ text: String, _ nanoseconds: UInt64) throws {
        let span = try LinkSettings.milliseconds(text, as: "delay")
        #expect(span == TimeSpan(nanoseconds: nanoseconds))
    }

    @Test(arguments: ["", "-1", "60001", "5ms", "1e3", "nan", "."])
    func `refuses milliseconds that are none`(_ text: String) {
        #expect(throws: LinkError.self) { try LinkSettings.milliseconds(text, as: "jitter") }
    }

    @Test(arguments: ["", "7789", "127.0.0.1", "127.0.0.1:", ":7789", "127.0.0.1:65536", "[]:1"])
    func `refuses an address that is none`(_ text: String) {
        #expect(throws: LinkError.self) { try LinkAddress(text) }
    }

    @Test(arguments: ["127.0.0.1:7789", "[::1]:80"])
    func `prints an address as it was read`(_ text: String) throws {
        #expect("\(try LinkAddress(text))" == text)
    }
}
