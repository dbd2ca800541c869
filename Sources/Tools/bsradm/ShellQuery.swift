// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation

/// The `sh-…` verbs: single facts of the configuration for scripts.
struct ShellQuery {
    private let verb: Verb
    private let runDirectory: String

    init(_ verb: Verb, runDirectory: String) {
        self.verb = verb
        self.runDirectory = runDirectory
    }

    /// Answers the verbs that name no resource.
    static func answer(_ verb: Verb, _ configuration: Configuration, _ views: [NodeView]) {
        switch verb {
        case .shellResources: for view in views { print(view.resource.name) }
        case .shellModuleParameters:
            print("minor_count=\(configuration.global.minorCount ?? 32)")
        default: break
        }
    }

    func answer(_ target: Target) throws(UsageError) {
        if self.verb == .shellResource {
            print(target.name)
            return
        }
        for volume in target.volumes { try self.answer(volume, of: target) }
    }

    private func answer(_ volume: LocalVolume, of target: Target) throws(UsageError) {
        switch self.verb {
        case .shellDevice: print(self.exportAddress(of: volume, in: target.name))
        case .shellMinor: print(volume.minor)
        case .shellDisk: print(volume.backing?.disk ?? "none")
        case .shellMetaDisk: print(try self.backing(of: volume).metaDisk)
        case .shellMetaDiskIndex: print(try self.backing(of: volume).index.engineWord)
        case .shellAddress:
            for route in target.peers.flatMap(\.routes) { print(route.local.address) }
        default: break
        }
    }

    private func backing(of volume: LocalVolume) throws(UsageError) -> LocalVolume.Backing {
        if let backing = volume.backing { return backing }
        throw UsageError(
            "The \(self.verb.rawValue) command requires a local disk, but the configuration "
                + "gives none.",
            exitCode: 10
        )
    }

    /// The NBD URI under which the engine exports a volume.
    private func exportAddress(of volume: LocalVolume, in resource: String) -> String {
        let name = Self.percentEncoded(resource)
        let path = URL(fileURLWithPath: self.runDirectory).path + "/nbd.sock"
        let socket = Self.percentEncoded(path, keeping: "/")
        return "nbd+unix:///\(name)/\(volume.number)?socket=\(socket)"
    }

    private static func percentEncoded(_ text: String, keeping extra: String = "") -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte) || "-._~".utf8.contains(byte)
                || extra.utf8.contains(byte)
            bytes += isPlain ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
