// SPDX-License-Identifier: Apache-2.0

/// A command of `bsradm` that is about resources.
package enum Verb: String, CaseIterable, Sendable {
    case up
    case down
    case adjust
    case primary
    case secondary
    case connect
    case disconnect
    case attach
    case detach
    case outdate
    case invalidate
    case invalidateRemote = "invalidate-remote"
    case verify
    case pauseSync = "pause-sync"
    case resumeSync = "resume-sync"
    case resize
    case checkResize = "check-resize"
    case createMetaData = "create-md"
    case dumpMetaData = "dump-md"
    case wipeMetaData = "wipe-md"
    case applyActivityLog = "apply-al"
    case getGeneration = "get-gi"
    case showGeneration = "show-gi"
    case status
    case role
    case connectionState = "cstate"
    case diskState = "dstate"
    case waitConnect = "wait-connect"
    case waitSync = "wait-sync"
    case newResource = "new-resource"
    case newMinor = "new-minor"
    case deleteMinor = "del-minor"
    case newPeer = "new-peer"
    case deletePeer = "del-peer"
    case newPath = "new-path"
    case deletePath = "del-path"
    case resourceOptions = "resource-options"
    case diskOptions = "disk-options"
    case netOptions = "net-options"
    case peerDeviceOptions = "peer-device-options"
    case forgetPeer = "forget-peer"
    case newCurrentUUID = "new-current-uuid"
    case suspendIO = "suspend-io"
    case resumeIO = "resume-io"
    case shellNothing = "sh-nop"
    case shellResources = "sh-resources"
    case shellResource = "sh-resource"
    case shellDevice = "sh-dev"
    case shellMinor = "sh-minor"
    case shellDisk = "sh-ll-dev"
    case shellMetaDisk = "sh-md-dev"
    case shellMetaDiskIndex = "sh-md-idx"
    case shellAddress = "sh-ip"
    case shellModuleParameters = "sh-mod-parms"

    /// What a verb runs over.
    package enum Scope: Sendable {
        /// The resource as a whole.
        case resource
        /// Each volume of this node.
        case volumes
        /// Each peer.
        case peers
        /// Each volume at each peer.
        case peerDevices
        /// No resource at all.
        case configuration
    }

    /// What the verb runs over.
    package var scope: Scope {
        switch self {
        case .up, .down, .adjust, .primary, .secondary, .status, .role, .waitConnect, .waitSync,
            .newResource, .resourceOptions, .shellResource:
            .resource
        case .attach, .detach, .outdate, .invalidate, .resize, .checkResize, .createMetaData,
            .dumpMetaData, .wipeMetaData, .applyActivityLog, .diskState, .newMinor, .deleteMinor,
            .diskOptions, .newCurrentUUID, .suspendIO, .resumeIO, .shellDevice, .shellMinor,
            .shellDisk, .shellMetaDisk, .shellMetaDiskIndex, .shellAddress:
            .volumes
        case .connect, .disconnect, .newPeer, .deletePeer, .newPath, .deletePath, .netOptions,
            .connectionState, .forgetPeer:
            .peers
        case .invalidateRemote, .verify, .pauseSync, .resumeSync, .getGeneration,
            .showGeneration, .peerDeviceOptions:
            .peerDevices
        case .shellNothing, .shellResources, .shellModuleParameters: .configuration
        }
    }

    /// True if a single volume may be named.
    package var takesVolume: Bool {
        switch self.scope {
        case .volumes, .peerDevices: true
        case .resource: self == .adjust || self == .waitConnect || self == .waitSync
        case .peers, .configuration: false
        }
    }

    /// True if a single peer may be named.
    package var takesPeer: Bool {
        switch self.scope {
        case .peers, .peerDevices: true
        case .resource:
            self == .up || self == .adjust || self == .waitConnect || self == .waitSync
        case .volumes, .configuration: false
        }
    }

    /// True if the verb needs a copy of the volume on this node.
    var needsDisk: Bool {
        switch self {
        case .attach, .detach, .outdate, .invalidate, .resize, .createMetaData, .dumpMetaData,
            .wipeMetaData, .applyActivityLog, .getGeneration, .showGeneration, .diskOptions,
            .shellMetaDisk, .shellMetaDiskIndex:
            true
        case .up, .down, .adjust, .primary, .secondary, .connect, .disconnect, .invalidateRemote,
            .verify, .pauseSync, .resumeSync, .checkResize, .status, .role,
            .connectionState, .diskState, .waitConnect, .waitSync, .newResource, .newMinor,
            .deleteMinor, .newPeer, .deletePeer, .newPath, .deletePath, .resourceOptions,
            .netOptions, .peerDeviceOptions, .forgetPeer, .newCurrentUUID, .suspendIO, .resumeIO,
            .shellNothing, .shellResources, .shellResource, .shellDevice, .shellMinor, .shellDisk,
            .shellAddress, .shellModuleParameters:
            false
        }
    }

    /// The table whose options the command line may give.
    var optionSection: OptionSection? {
        switch self {
        case .attach, .diskOptions: .disk
        case .netOptions, .newPeer: .net
        case .resourceOptions, .newResource: .resource
        case .peerDeviceOptions: .peerDevice
        case .waitConnect, .waitSync: .startup
        default: nil
        }
    }

    /// Options of the verb's own: name and whether a value must follow.
    var ownOptions: [(name: String, takesValue: Bool)] {
        switch self {
        case .primary, .secondary, .disconnect, .wipeMetaData, .dumpMetaData, .applyActivityLog:
            [("force", false)]
        case .connect: [("tentative", false), ("discard-my-data", false)]
        case .detach: [("force", false), ("diskless", false)]
        case .newMinor: [("max-bio-size", true), ("diskless", false)]
        case .resize, .checkResize:
            [
                ("size", true), ("assume-peer-has-space", false), ("assume-clean", false),
                ("al-stripes", true), ("al-stripe-size-kB", true),
            ]
        case .invalidate: [("sync-from-peer-node-id", true), ("reset-bitmap", true)]
        case .invalidateRemote: [("reset-bitmap", true)]
        case .verify: [("start", true), ("stop", true), ("auto-sync", false)]
        case .newCurrentUUID:
            [("clear-bitmap", false), ("force-resync", false)]
        case .createMetaData:
            [
                ("max-peers", true), ("force", false), ("peer-max-bio-size", true),
                ("al-stripes", true), ("al-stripe-size-kB", true),
            ]
        case .adjust: [("skip-disk", false), ("skip-net", false)]
        case .status:
            [("verbose", false), ("statistics", false), ("json", false), ("color", false)]
        default: []
        }
    }

    /// Whether `name` may be given on the command line, and whether a value must follow it; nil if
    /// the verb has no such option.
    package func takesValue(for name: String) -> Bool? {
        if let own = self.ownOptions.first(where: { $0.name == name }) { return own.takesValue }
        guard let section = self.optionSection,
            let entry = OptionTable.find(name, in: section), !name.hasPrefix("_")
        else { return nil }
        if case .boolean = entry.type { return false }
        return true
    }

    /// Commands that scripts of the field know and no engine of ours does yet.
    package static let unsupported = ["verify-stop"]

    /// Options of the verb that scripts of the field know and no engine of ours does yet.
    package var unsupportedOptions: [String] {
        switch self {
        case .primary: ["skip-check-fs", "full-sync-on-fail"]
        case .invalidateRemote: ["use-current-oos"]
        case .newCurrentUUID: ["no-rotate-bitmap"]
        default: []
        }
    }

    /// The names of all options that the verb takes.
    package var optionNames: [String] {
        let table = self.optionSection.map { OptionTable.all(in: $0).map(\.name) } ?? []
        return self.ownOptions.map(\.name) + table.filter { !$0.hasPrefix("_") }
    }
}
