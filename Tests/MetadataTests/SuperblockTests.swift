// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

struct SuperblockTests {
    struct Vector: Sendable {
        let placement: Placement
        let bytes: UInt64
        let peers: Int
        var blocksPerStripe: UInt32 = 8
        var version = FormatVersion.v09
        let sum: String
    }

    /// Sums of the blocks that the real drbdmeta writes at creation.
    static let vectors = [
        Vector(
            placement: .internal,
            bytes: 64 << 20,
            peers: 1,
            sum: "a538080baf6812080f25beea5a37bee9dfa394f17abb85313d54d2c40e930e21"
        ),
        Vector(
            placement: .internal,
            bytes: 64 << 20,
            peers: 3,
            sum: "0bde93f3c02d1f6d064636073c3f9e2e7cd5e681d7a623c11f8e37b0e85521e6"
        ),
        Vector(
            placement: .internal,
            bytes: 1 << 30,
            peers: 7,
            sum: "09c4b6d6131af3bceeef00f5fb243397858e1af77771e5b38e926af4b45f58e9"
        ),
        Vector(
            placement: .internal,
            bytes: 1 << 30,
            peers: 1,
            blocksPerStripe: 80,
            sum: "830bf8b8f2eb77176e470b6c7d4a994a33c90dc1a15e869f8920b3ffd25098d4"
        ),
        Vector(
            placement: .flexibleExternal,
            bytes: 1 << 20,
            peers: 1,
            sum: "0899027e3fa90ffcba7f42aeed4cda47981cb2418894734e7e7a81be06138c1c"
        ),
        Vector(
            placement: .indexed(1),
            bytes: 256 << 20,
            peers: 2,
            sum: "bf59290d1f903fb3fe25c86eec620bba2137b654af6b592cbf8d2069bb64b4d4"
        ),
        Vector(
            placement: .internal,
            bytes: 64 << 20,
            peers: 1,
            version: .v08,
            sum: "525a7dd3f54ba9ea27f7984f95eb52df2e702b069691ecb74bd11666a999ed1a"
        ),
    ]

    @Test(arguments: vectors)
    func `encodes fresh metadata byte for byte as drbdmeta does`(_ vector: Vector) throws {
        let layout = try layout(
            vector.placement,
            bytes: vector.bytes,
            peers: vector.peers,
            blocksPerStripe: vector.blocksPerStripe
        )
        let superblock = AnySuperblock(creating: layout, version: vector.version)
        let bytes = block { superblock.encode(into: $0) }
        #expect(sha256(bytes) == vector.sum)
        let found = try StoredMetadata(
            decoding: bytes.span.bytes,
            version: vector.version,
            placement: vector.placement,
            deviceBytes: vector.bytes
        )
        #expect(found.superblock == superblock)
        #expect(found.layout == layout)
        #expect(found.warnings.isEmpty)
    }

    @Test func `keeps every field of random superblocks`() throws {
        var random = SeededRandom(seed: 2)
        for _ in 0..<200 {
            let layout = try layout(
                .internal,
                bytes: (1 << 20) + random.below(1 << 34),
                peers: 1 + Int(random.below(31))
            )
            var superblock = random.superblock(layout)
            superblock.members = random.next()
            let bytes = block { superblock.encode(into: $0) }
            #expect(try Superblock(decoding: bytes.span.bytes) == superblock)
            #expect(bytes[24..<48].allSatisfy { $0 == 0 })
            #expect(bytes[1392...].allSatisfy { $0 == 0 })
        }
    }
}
