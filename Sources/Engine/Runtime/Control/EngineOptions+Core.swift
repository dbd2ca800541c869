// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import EngineCore
import Primitives
import Reactor
import Wire

/// An option that is written correctly and cannot be used.
struct UnsupportedOption: Error, CustomStringConvertible {
    let description: String
}

extension EngineCore.NetworkParameters {
    /// The checked `net` options; refuses what this version does not build.
    init(_ options: NetOptions) throws(UnsupportedOption) {
        self.init()
        try Self.refuseUnsupported(options)
        switch options.replicationProtocol {
        case .a: self.replicationProtocol = .a
        case .b: self.replicationProtocol = .b
        case .c: self.replicationProtocol = .c
        }
        self.timeout = options.timeout
        self.koCount = UInt64(options.knockOutCount)
        self.connectInterval = options.connectInterval
        self.pingInterval = options.pingInterval
        self.pingTimeout = options.pingTimeout
        self.socketCheckTimeout = options.socketCheckTimeout
        self.maximumEpochSize = UInt32(options.epochWritesMaximum)
        self.usesRunLengthEncoding = options.compressesBitmap
        if let name = options.authenticationAlgorithm, !name.isEmpty {
            guard let digest = AuthenticationDigest(rawValue: name) else {
                let known = AuthenticationDigest.allCases.map(\.rawValue).joined(separator: ", ")
                throw UnsupportedOption(
                    description: "cram-hmac-alg \(name) is not known; use one of \(known)"
                )
            }
            self.digestLength = UInt8(digest.byteCount)
        }
    }

    private static func refuseUnsupported(_ options: NetOptions) throws(UnsupportedOption) {
        let algorithms = [
            ("data-integrity-alg", options.dataIntegrityAlgorithm),
            ("csums-alg", options.checksumAlgorithm),
            ("verify-alg", options.verifyAlgorithm),
        ]
        for (name, value) in algorithms {
            if let value, !value.isEmpty {
                throw UnsupportedOption(
                    description: "\(name) \(value) is not supported yet; remove it"
                )
            }
        }
        if options.allowsTwoPrimaries {
            throw UnsupportedOption(description: "allow-two-primaries is not supported; remove it")
        }
        if options.afterSplitBrain0 != .disconnect || options.afterSplitBrain1 != .disconnect
            || options.afterSplitBrain2 != .disconnect || options.roleResyncConflict != .disconnect
        {
            throw UnsupportedOption(
                description: "after-sb-0pri, after-sb-1pri, after-sb-2pri and rr-conflict "
                    + "other than disconnect are not supported yet"
            )
        }
        if options.onCongestion != .block {
            throw UnsupportedOption(
                description: "on-congestion other than block is not supported yet"
            )
        }
        if options.fencing != .dontCare {
            throw UnsupportedOption(
                description: "fencing other than dont-care is not supported yet"
            )
        }
        guard options.transport == "tcp" || options.transport.isEmpty else {
            throw UnsupportedOption(description: "transport \(options.transport) is not supported")
        }
    }
}

extension ResourceOptions {
    /// Why the options cannot be used: they promise what this version does not keep.
    var unsupported: String? {
        if self.quorum != .off || self.quorumMinimumRedundancy != .off {
            return "quorum and quorum-minimum-redundancy other than off are not supported yet"
        }
        if self.onNoDataAccessible != .error {
            return "on-no-data-accessible other than io-error is not supported yet"
        }
        return self.autoPromotes
            ? "auto-promote is not supported: promote with bsradm primary" : nil
    }
}

extension DiskParameters {
    /// The checked `disk` options.
    init(_ options: DiskOptions) {
        self.init()
        self.flushesData = options.flushesData
        self.flushesMetadata = options.flushesMetadata
        self.activityLogExtents = UInt32(options.activityLogExtents)
        self.updatesActivityLog = options.keepsActivityLog
        self.userSectors = options.sizeSectors
    }
}

extension IOMode {
    init(_ mode: InputOutputMode) {
        switch mode {
        case .auto: self = .auto
        case .direct: self = .direct
        case .buffered: self = .buffered
        }
    }
}
