// SPDX-License-Identifier: Apache-2.0

package import Configuration
package import EngineCore
import Primitives
package import Reactor
import Wire

/// An option that is written correctly and cannot be used.
package struct UnsupportedOption: Error, CustomStringConvertible {
    package let description: String
}

/// What the engine makes of the `net` options of a peer.
package struct PeerSettings: Sendable {
    /// For the core.
    package var parameters = NetworkParameters()
    /// For the sockets.
    package var sockets = ConnectionOptions()
    /// `cram-hmac-alg`; nil without authentication.
    package var digest: AuthenticationDigest?
    /// `shared-secret`.
    package var secret: [UInt8]
    /// `_name`.
    package var name: String?

    /// The checked options.
    ///
    /// - Throws: ``UnsupportedOption`` for a digest that is not known.
    package init(_ options: NetOptions) throws(UnsupportedOption) {
        self.name = options.peerName
        self.secret = Array((options.sharedSecret ?? "").utf8)
        self.setParameters(options)
        self.sockets.userTimeout = options.acknowledgementTimeout
        if options.sendBufferSize.bytes > 0 {
            self.sockets.sendBufferByteCount = Int(options.sendBufferSize.bytes)
        }
        if options.receiveBufferSize.bytes > 0 {
            self.sockets.receiveBufferByteCount = Int(options.receiveBufferSize.bytes)
        }
        guard let name = options.authenticationAlgorithm, !name.isEmpty else { return }
        guard let digest = AuthenticationDigest(rawValue: name) else {
            let known = AuthenticationDigest.allCases.map(\.rawValue).joined(separator: ", ")
            throw UnsupportedOption(
                description: "cram-hmac-alg \(name) is not known; use one of \(known)"
            )
        }
        self.digest = digest
        self.parameters.digestLength = UInt8(digest.byteCount)
    }

    private mutating func setParameters(_ options: NetOptions) {
        switch options.replicationProtocol {
        case .a: self.parameters.replicationProtocol = .a
        case .b: self.parameters.replicationProtocol = .b
        case .c: self.parameters.replicationProtocol = .c
        }
        self.parameters.timeout = options.timeout
        self.parameters.koCount = UInt64(options.knockOutCount)
        self.parameters.connectInterval = options.connectInterval
        self.parameters.pingInterval = options.pingInterval
        self.parameters.pingTimeout = options.pingTimeout
        self.parameters.socketCheckTimeout = options.socketCheckTimeout
        self.parameters.maximumEpochSize = UInt32(options.epochWritesMaximum)
        self.parameters.usesRunLengthEncoding = options.compressesBitmap
    }
}

/// What the engine makes of the `disk` options of a volume.
package struct DiskSettings: Sendable {
    /// For the core.
    package var parameters = DiskParameters()
    /// How the backing device is opened.
    package var mode: IOMode

    /// The checked options.
    package init(_ options: DiskOptions) {
        self.parameters.flushesData = options.flushesData
        self.parameters.flushesMetadata = options.flushesMetadata
        self.parameters.activityLogExtents = UInt32(options.activityLogExtents)
        self.parameters.userSectors = options.sizeSectors
        switch options.inputOutputMode {
        case .auto: self.mode = .auto
        case .direct: self.mode = .direct
        case .buffered: self.mode = .buffered
        }
    }

    /// The names of the options in which `old` differs and that count from the next attach only.
    package func later(than old: Self) -> [String] {
        var names: [String] = []
        if self.parameters.activityLogExtents != old.parameters.activityLogExtents {
            names.append("al-extents")
        }
        if self.parameters.userSectors != old.parameters.userSectors { names.append("size") }
        if self.mode != old.mode { names.append("io-mode") }
        return names
    }
}
