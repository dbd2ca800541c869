// SPDX-License-Identifier: Apache-2.0

import Foundation
import Simulation

/// The file of `--state`.
///
/// It is replaced as a whole, so that a run that is killed leaves the former content or the new
/// one.
struct StateFile: Sendable {
    let path: String
    /// What the file has, or an empty record if there is none yet.
    let record: RunRecord

    /// Reads the file, if there is one.
    init(path: String, mutation: Mutation?, acceptsOtherBuild: Bool) throws {
        self.path = path
        let build = try Self.ownBuild()
        guard FileManager.default.fileExists(atPath: path) else {
            self.record = RunRecord(build: build, mutation: mutation)
            try self.store(self.record)
            return
        }
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            let stored = try JSONDecoder().decode(RunRecord.self, from: data)
            self.record = try RunRecord(
                resuming: stored,
                build: build,
                mutation: mutation,
                acceptsOtherBuild: acceptsOtherBuild
            )
        } catch let refusal as RunRecord.Refusal {
            throw ExitMessage("state file '\(path)' cannot be gone on with: \(refusal)")
        } catch let fault as DecodingError {
            throw ExitMessage(
                "state file '\(path)' is none of bsr-sim, or damaged (\(Self.text(fault))): "
                    + "name another file, or remove it to begin anew"
            )
        } catch {
            throw ExitMessage(
                "state file '\(path)' cannot be read: \(error.localizedDescription)"
            )
        }
    }

    func store(_ record: RunRecord) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(record).write(to: URL(fileURLWithPath: self.path), options: .atomic)
        } catch {
            throw ExitMessage(
                "state file '\(self.path)' cannot be written: \(error.localizedDescription)"
            )
        }
    }

    /// A name of this program's bytes: seeds mean the same worlds as long as it is the same.
    private static func ownBuild() throws -> String {
        guard let bytes = FileManager.default.contents(atPath: "/proc/self/exe") else {
            throw ExitMessage(
                "/proc/self/exe cannot be read, which --state needs to name the build"
            )
        }
        // FNV-1a over words.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        bytes.withUnsafeBytes { bytes in
            for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                hash = (hash ^ word) &* 0x100_0000_01B3
            }
        }
        return String(hash, radix: 16)
    }

    private static func text(_ fault: DecodingError) -> String {
        switch fault {
        case .dataCorrupted(let context): context.debugDescription
        case .keyNotFound(let key, _): "it has no '\(key.stringValue)'"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): context.debugDescription
        @unknown default: "\(fault)"
        }
    }
}
