// SPDX-License-Identifier: Apache-2.0

/// A verb of `bsrsetup`, with drbdsetup's names and arguments.
package enum SetupVerb: String, Sendable, CaseIterable {
    case primary
    case secondary
    case attach
    case diskOptions = "disk-options"
    case detach
    case connect
    case newPeer = "new-peer"
    case deletePeer = "del-peer"
    case newPath = "new-path"
    case deletePath = "del-path"
    case netOptions = "net-options"
    case disconnect
    case resize
    case resourceOptions = "resource-options"
    case peerDeviceOptions = "peer-device-options"
    case newCurrentUUID = "new-current-uuid"
    case invalidate
    case invalidateRemote = "invalidate-remote"
    case pauseSync = "pause-sync"
    case resumeSync = "resume-sync"
    case suspendIO = "suspend-io"
    case resumeIO = "resume-io"
    case outdate
    case verify
    case down
    case role
    case connectionState = "cstate"
    case diskState = "dstate"
    case showGenerations = "show-gi"
    case getGenerations = "get-gi"
    case show
    case status
    case checkResize = "check-resize"
    case events = "events2"
    case waitSyncVolume = "wait-sync-volume"
    case waitSyncConnection = "wait-sync-connection"
    case waitSyncResource = "wait-sync-resource"
    case waitConnectVolume = "wait-connect-volume"
    case waitConnectConnection = "wait-connect-connection"
    case waitConnectResource = "wait-connect-resource"
    case newResource = "new-resource"
    case newMinor = "new-minor"
    case deleteMinor = "del-minor"
    case deleteResource = "del-resource"
    case forgetPeer = "forget-peer"

    /// A word that follows the verb.
    package enum Argument: String, Sendable {
        case resource
        case resourceOrAll = "resource|all"
        case nodeID = "node_id"
        case peerNodeID = "peer_node_id"
        case minor
        case volume
        case lowerDevice = "lower_dev"
        case metaDevice = "meta_data_dev"
        case metaIndex = "meta_data_index"
        case localAddress = "local-addr"
        case remoteAddress = "remote-addr"
    }

    /// The options that may follow the arguments.
    package enum Options: Sendable, Hashable {
        /// Options that the tool itself knows.
        case known([String])
        /// Options that the daemon checks, of the kind that is named.
        case daemon(String)
    }

    /// The words that follow the verb, in order.
    package var arguments: [Argument] {
        switch self {
        case .primary, .secondary, .role, .resourceOptions, .deleteResource, .waitSyncResource,
            .waitConnectResource:
            [.resource]
        case .newResource: [.resource, .nodeID]
        case .newMinor: [.resource, .minor, .volume]
        case .attach: [.minor, .lowerDevice, .metaDevice, .metaIndex]
        case .diskOptions, .detach, .resize, .newCurrentUUID, .invalidate, .suspendIO, .resumeIO,
            .outdate, .diskState, .checkResize, .deleteMinor:
            [.minor]
        case .connect, .newPeer, .deletePeer, .netOptions, .disconnect, .connectionState,
            .forgetPeer, .waitSyncConnection, .waitConnectConnection:
            [.resource, .peerNodeID]
        case .newPath, .deletePath: [.resource, .peerNodeID, .localAddress, .remoteAddress]
        case .peerDeviceOptions, .invalidateRemote, .pauseSync, .resumeSync, .verify,
            .showGenerations, .getGenerations, .waitSyncVolume, .waitConnectVolume:
            [.resource, .peerNodeID, .volume]
        case .down, .show, .status, .events: [.resourceOrAll]
        }
    }

    /// The options that may follow the arguments.
    package var options: Options {
        switch self {
        case .attach, .diskOptions: .daemon("disk")
        case .newPeer, .netOptions: .daemon("net")
        case .newResource, .resourceOptions: .daemon("resource")
        case .peerDeviceOptions: .daemon("peer-device")
        case .newMinor: .daemon("device")
        case .resize: .daemon("resize")
        case .verify: .daemon("verify")
        case .primary, .secondary, .disconnect, .deletePeer: .known(["force"])
        case .detach: .known(["force", "diskless"])
        case .connect: .known(["tentative", "discard-my-data"])
        case .newCurrentUUID: .known(["clear-bitmap", "force-resync"])
        case .invalidate: .known(["sync-from-peer-node-id", "reset-bitmap"])
        case .invalidateRemote: .known(["reset-bitmap"])
        case .show: .known(["show-defaults", "json"])
        case .status: .known(["verbose", "statistics", "color", "json"])
        case .events:
            .known(["timestamps", "statistics", "now", "poll", "full", "color", "diff"])
        case .waitSyncVolume, .waitSyncConnection, .waitSyncResource, .waitConnectVolume,
            .waitConnectConnection, .waitConnectResource:
            .known(SetupVerb.timeouts + ["wait-after-sb"])
        case .newPath, .deletePath, .pauseSync, .resumeSync, .suspendIO, .resumeIO, .outdate,
            .down, .role, .connectionState, .diskState, .showGenerations, .getGenerations,
            .checkResize, .deleteMinor, .deleteResource, .forgetPeer:
            .known([])
        }
    }

    /// What it does, for the help.
    package var summary: String {
        switch self {
        case .primary: "Make this node Primary for a resource."
        case .secondary: "Make this node Secondary for a resource."
        case .attach: "Attach a disk with its metadata to a volume."
        case .diskOptions: "Change the disk options of a volume."
        case .detach: "Detach the disk of a volume."
        case .connect: "Connect to a peer."
        case .newPeer: "Make a peer known to a resource."
        case .deletePeer: "Forget a peer's connection."
        case .newPath: "Add an address pair to a connection."
        case .deletePath: "Remove an address pair from a connection."
        case .netOptions: "Change the net options of a connection."
        case .disconnect: "Disconnect from a peer."
        case .resize: "Take over the present sizes of the disks."
        case .resourceOptions: "Change the options of a resource."
        case .peerDeviceOptions: "Change the options of a volume towards one peer."
        case .newCurrentUUID: "Begin a new data generation."
        case .invalidate: "Replace the own data of a volume with a peer's."
        case .invalidateRemote: "Replace a peer's data of a volume with the own."
        case .pauseSync: "Pause the resync with a peer."
        case .resumeSync: "Let a paused resync go on."
        case .suspendIO: "Hold the I/O of a volume."
        case .resumeIO: "Let held I/O go on."
        case .outdate: "Mark the own data of a volume as Outdated."
        case .verify: "Compare the data of a volume with a peer's."
        case .down: "Take a resource down."
        case .role: "Print the own role."
        case .connectionState: "Print the state of a connection."
        case .diskState: "Print the disk states of a volume, the own one first."
        case .showGenerations: "Print and explain the data generation identifiers."
        case .getGenerations: "Print the data generation identifiers."
        case .show: "Print what is configured."
        case .status: "Print the state of resources."
        case .checkResize: "Remember the present size of a disk."
        case .events: "Print the state of resources, then each change."
        case .waitSyncVolume: "Wait until a volume's resync is over."
        case .waitSyncConnection: "Wait until the resync of all volumes with a peer is over."
        case .waitSyncResource: "Wait until every resync of a resource is over."
        case .waitConnectVolume: "Wait until a volume is visible at the peer."
        case .waitConnectConnection: "Wait until a connection is established."
        case .waitConnectResource: "Wait until every connection is established."
        case .newResource: "Make a resource."
        case .newMinor: "Make a volume of a resource."
        case .deleteMinor: "Remove a volume."
        case .deleteResource: "Remove a resource."
        case .forgetPeer: "Remove a peer from the metadata."
        }
    }
}
