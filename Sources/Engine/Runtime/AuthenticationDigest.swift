// SPDX-License-Identifier: Apache-2.0

import COpenSSL
package import EngineCore

/// A keyed digest of the `cram-hmac-alg` option, computed by OpenSSL.
package enum AuthenticationDigest: String, Hashable, Sendable, CaseIterable {
    case md5
    case sha1
    case sha224
    case sha256
    case sha384
    case sha512

    /// The length of the digest in bytes.
    package var byteCount: Int {
        switch self {
        case .md5: 16
        case .sha1: 20
        case .sha224: 28
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// The HMAC of `message` with `key`.
    package func authenticate(_ message: ShortBytes, key: [UInt8]) -> ShortBytes {
        var digest = [UInt8](repeating: 0, count: ShortBytes.capacity)
        var length: UInt32 = 0
        let bytes = (0..<message.count).map { message[$0] }
        _ = HMAC(
            EVP_get_digestbyname(self.rawValue),
            key,
            Int32(key.count),
            bytes,
            bytes.count,
            &digest,
            &length
        )
        return ShortBytes(digest.prefix(Int(length))) ?? ShortBytes()
    }
}
