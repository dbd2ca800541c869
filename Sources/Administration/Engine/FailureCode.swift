// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Why a configuration request was refused, with the numbers of DRBD and bsr.
package enum FailureCode: Int32, Sendable, Hashable, CaseIterable {
    case localAddressInUse = 102
    case peerAddressInUse = 103
    case cannotOpenDisk = 104
    case cannotOpenMetaDisk = 105
    case diskNotBlockDevice = 107
    case metaDiskNotBlockDevice = 108
    case diskTooSmall = 111
    case metaDiskTooSmall = 112
    case diskClaimed = 114
    case metaDiskClaimed = 115
    case metaIndexInvalid = 116
    case metaDataIOError = 118
    case noValidMetaData = 119
    case authenticationAlgorithm = 120
    case outOfMemory = 122
    case discardOnPrimary = 123
    case diskConfigured = 124
    case netConfigured = 125
    case unknownMandatoryOption = 126
    case minorUnknown = 127
    case interrupted = 129
    case resizeDuringResync = 130
    case resizeNeedsPrimary = 131
    case resyncAfterInvalid = 132
    case resyncAfterCycle = 133
    case pauseFlagAlreadySet = 134
    case pauseFlagAlreadyClear = 135
    case noDisk = 138
    case protocolCRequired = 139
    case integrityAlgorithm = 141
    case checksumAlgorithm = 144
    case verifyAlgorithm = 145
    case dataNotCurrent = 150
    case connected = 151
    case permission = 152
    case pausedByDependency = 156
    case pausedByPeer = 157
    case resourceUnknown = 158
    case resourceInUse = 159
    case minorConfigured = 160
    case alreadyExists = 161
    case invalidRequest = 162
    case metaDataUnclean = 165
    case implicitShrink = 170
    case invalidPeerNodeID = 171
    case transport = 172
    case addressPairInUse = 173
    case peerExists = 174

    /// The sentence behind the number.
    package var text: String {
        switch self {
        case .localAddressInUse: "The local address is already in use"
        case .peerAddressInUse: "The peer's address is already in use"
        case .cannotOpenDisk: "Can not open the backing device"
        case .cannotOpenMetaDisk: "Can not open the meta-data device"
        case .diskNotBlockDevice: "The backing device is neither a block device nor a regular file"
        case .metaDiskNotBlockDevice:
            "The meta-data device is neither a block device nor a regular file"
        case .diskTooSmall: "The backing device is too small"
        case .metaDiskTooSmall: "The meta-data device is too small"
        case .diskClaimed: "The backing device is already claimed"
        case .metaDiskClaimed: "The meta-data device is already claimed"
        case .metaIndexInvalid: "The meta-data index is invalid for these devices"
        case .metaDataIOError: "I/O error on the meta-data"
        case .noValidMetaData: "No valid meta-data found"
        case .authenticationAlgorithm: "The authentication algorithm is not supported"
        case .outOfMemory: "Out of memory"
        case .discardOnPrimary: "A Primary can not discard its data"
        case .diskConfigured: "A disk is already attached (detach it first)"
        case .netConfigured: "The connection is already configured"
        case .unknownMandatoryOption: "Unknown option"
        case .minorUnknown: "Minor not allocated"
        case .interrupted: "Interrupted"
        case .resizeDuringResync: "Resize is not allowed during a resync"
        case .resizeNeedsPrimary: "One node has to be Primary to resize"
        case .resyncAfterInvalid: "The resync-after minor is invalid"
        case .resyncAfterCycle: "resync-after would form a cycle"
        case .pauseFlagAlreadySet: "Resync is already paused"
        case .pauseFlagAlreadyClear: "Resync is not paused"
        case .noDisk: "The volume has no disk"
        case .protocolCRequired: "Protocol C is required"
        case .integrityAlgorithm: "The data-integrity algorithm is not supported"
        case .checksumAlgorithm: "The checksum algorithm is not supported"
        case .verifyAlgorithm: "The verify algorithm is not supported"
        case .dataNotCurrent: "Only the data that was lost last can be attached"
        case .connected: "The connection has to be StandAlone"
        case .permission: "Permission denied"
        case .pausedByDependency: "Resync is still paused by a resync-after dependency"
        case .pausedByPeer: "Resync is still paused by the peer"
        case .resourceUnknown: "Unknown resource"
        case .resourceInUse: "The resource is still in use (delete its minors first)"
        case .minorConfigured: "The minor is still configured (take it down first)"
        case .alreadyExists: "The minor or volume exists already (delete it first)"
        case .invalidRequest: "Invalid configuration request"
        case .metaDataUnclean: "Unclean meta-data ('bsradm apply-al' is needed)"
        case .implicitShrink: "A volume is not made smaller implicitly"
        case .invalidPeerNodeID: "Invalid peer node id"
        case .transport: "The transport can not be used"
        case .addressPairInUse: "This pair of addresses is already in use"
        case .peerExists: "The peer or path exists already"
        }
    }
}

extension ControlCode {
    /// The configuration was refused.
    package static func failure(_ code: FailureCode) -> Self { Self(rawValue: code.rawValue) }

    /// How a state change ended; success if nothing was to be done.
    package static func stateChange(_ code: StateChangeCode) -> Self {
        switch code {
        case _ where code.isSuccess: .success
        case .unknownError: .failed
        default: Self(rawValue: code.rawValue)
        }
    }
}

extension ResponseStream where Service == EngineControl {
    /// Answers that the configuration was refused; `details` say what exactly.
    package func refuse(_ code: FailureCode, _ details: String...) {
        self.finish(.failure(code), details)
    }

    /// Answers with the outcome of a state change.
    package func finish(_ code: StateChangeCode, _ details: String...) {
        self.finish(.stateChange(code), details)
    }

    /// Answers that `what` is not there yet.
    package func refuseUnsupported(_ what: String) {
        self.finish(.refused, ["\(what) is not supported yet by this version of bsrd"])
    }
}
