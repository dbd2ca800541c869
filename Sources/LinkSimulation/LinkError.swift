// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a link cannot be set up or changed.
package enum LinkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A value that was given breaks its rule.
    case badValue(what: String, value: String, rule: String)
    /// An address cannot be understood or found.
    case badAddress(String, reason: String)
    /// A number of something exceeds its limit.
    case tooMany(String, limit: Int)
    /// A system call failed.
    case system(operation: String, object: String, errno: Int32)

    /// A sentence: what, the value, the rule, what to do.
    package var description: String {
        switch self {
        case .badValue(let what, let value, let rule): return "\(what) '\(value)': \(rule)"
        case .badAddress(let address, let reason): return "address '\(address)': \(reason)"
        case .tooMany(let what, let limit): return "too many \(what): at most \(limit)"
        case .system(let operation, let object, let errno):
            let hint = errno == EADDRINUSE ? "; choose another port, or 0 for a free one" : ""
            return "cannot \(operation) \(object): \(String(cString: strerror(errno)))\(hint)"
        }
    }
}
