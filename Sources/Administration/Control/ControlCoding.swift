// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives

/// Requests and replies as lines of JSON and back.
package enum ControlCoding {
    /// `value` as one line, its end included.
    ///
    /// Traps if `value` cannot be encoded: requests and replies hold nothing but numbers that JSON
    /// knows, texts, and lists of them.
    package static func line(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf",
            negativeInfinity: "-inf",
            nan: "nan"
        )
        do {
            return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            invariantBroken("requests and replies can be encoded")
        }
    }

    /// The value of a line.
    ///
    /// - Throws: ``ControlError/malformed(_:)`` with what is wrong and where.
    package static func decode<Value: Decodable>(_: Value.Type, from line: [UInt8])
        throws(ControlError) -> Value
    {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(line))
        } catch let error as DecodingError {
            throw .malformed(Self.reason(of: error))
        } catch {
            throw .malformed("not JSON")
        }
    }

    private static func reason(of error: DecodingError) -> String {
        switch error {
        case .typeMismatch(_, let context), .dataCorrupted(let context),
            .valueNotFound(_, let context):
            "\(context.debugDescription)\(Self.place(context.codingPath))"
        case .keyNotFound(let key, let context):
            "'\(key.stringValue)' is missing\(Self.place(context.codingPath))"
        @unknown default: "not understood"
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        path.isEmpty ? "" : " at " + path.map(\.stringValue).joined(separator: ".")
    }
}
