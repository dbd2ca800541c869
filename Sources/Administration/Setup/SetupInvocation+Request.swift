// SPDX-License-Identifier: Apache-2.0

extension SetupInvocation {
    /// What the daemon is asked for; nil for verbs that the tool derives from status and events.
    package var request: EngineRequest? {
        get throws(UsageFailure) {
            switch self.verb {
            case .newResource, .deleteResource, .down, .newMinor, .deleteMinor, .newPeer,
                .deletePeer, .forgetPeer, .newPath, .deletePath:
                self.objectRequest
            case .resourceOptions, .diskOptions, .netOptions, .peerDeviceOptions:
                self.optionRequest
            case .attach, .detach, .connect, .disconnect, .primary, .secondary, .outdate,
                .invalidate, .invalidateRemote, .pauseSync, .resumeSync, .suspendIO, .resumeIO,
                .newCurrentUUID, .resize, .checkResize, .verify:
                try self.stateRequest
            case .status: .status(resource: self.resource)
            case .events: .events(resource: self.resource)
            case .show: .configuration(resource: self.resource)
            case .showGenerations, .getGenerations: .generations(self.peerDevice)
            case .role, .connectionState, .diskState, .waitSyncVolume, .waitSyncConnection,
                .waitSyncResource, .waitConnectVolume, .waitConnectConnection,
                .waitConnectResource:
                nil
            }
        }
    }

    /// The peer that the first two arguments name.
    package var peer: PeerAddress { PeerAddress(self.words[0], self.number(1)) }

    /// The volume towards a peer that the first three arguments name.
    package var peerDevice: PeerDeviceAddress { PeerDeviceAddress(self.peer, self.number(2)) }

    private var daemonOptions: [OptionText] { self.options.filter { $0.name != "set-defaults" } }

    private var objectRequest: EngineRequest? {
        switch self.verb {
        case .newResource:
            .newResource(name: self.words[0], nodeID: self.number(1), options: self.options)
        case .deleteResource: .deleteResource(name: self.words[0])
        case .down: .down(resource: self.resource)
        case .newMinor:
            .newMinor(
                resource: self.words[0],
                minor: self.number(1),
                volume: self.number(2),
                options: self.options
            )
        case .deleteMinor: .deleteMinor(minor: self.number(0))
        case .newPeer: .newPeer(self.peer, options: self.options)
        case .deletePeer: .deletePeer(self.peer, force: self.isSet("force"))
        case .forgetPeer: .forgetPeer(self.peer)
        case .newPath: .newPath(self.peer, local: self.words[2], remote: self.words[3])
        case .deletePath: .deletePath(self.peer, local: self.words[2], remote: self.words[3])
        default: nil
        }
    }

    private var optionRequest: EngineRequest? {
        let setDefaults = self.isSet("set-defaults")
        let options = self.daemonOptions
        return switch self.verb {
        case .resourceOptions:
            .resourceOptions(resource: self.words[0], setDefaults: setDefaults, options: options)
        case .diskOptions:
            .diskOptions(minor: self.number(0), setDefaults: setDefaults, options: options)
        case .netOptions: .netOptions(self.peer, setDefaults: setDefaults, options: options)
        case .peerDeviceOptions:
            .peerDeviceOptions(self.peerDevice, setDefaults: setDefaults, options: options)
        default: nil
        }
    }

    private var stateRequest: EngineRequest? {
        get throws(UsageFailure) {
            let minor = self.number(0)
            switch self.verb {
            case .attach: return .attach(self.attachArguments)
            case .detach:
                return .detach(
                    minor: minor,
                    force: self.isSet("force"),
                    diskless: self.isSet("diskless")
                )
            case .connect:
                return .connect(
                    self.peer,
                    discardMyData: self.isSet("discard-my-data"),
                    tentative: self.isSet("tentative")
                )
            case .disconnect: return .disconnect(self.peer, force: self.isSet("force"))
            case .primary: return .primary(resource: self.words[0], force: self.isSet("force"))
            case .secondary:
                return .secondary(resource: self.words[0], force: self.isSet("force"))
            case .outdate: return .outdate(minor: minor)
            case .invalidate:
                return .invalidate(
                    minor: minor,
                    syncFromPeerNodeID: try self.sourceNodeID,
                    resetBitmap: self.value("reset-bitmap") != "no"
                )
            case .invalidateRemote:
                let reset = self.value("reset-bitmap") != "no"
                return .invalidateRemote(self.peerDevice, resetBitmap: reset)
            case .pauseSync: return .pauseSync(self.peerDevice)
            case .resumeSync: return .resumeSync(self.peerDevice)
            case .suspendIO: return .suspendIO(minor: minor)
            case .resumeIO: return .resumeIO(minor: minor)
            case .newCurrentUUID:
                return .newCurrentUUID(
                    minor: minor,
                    clearBitmap: self.isSet("clear-bitmap"),
                    forceResync: self.isSet("force-resync")
                )
            case .resize: return .resize(minor: minor, options: self.options)
            case .checkResize: return .checkResize(minor: minor)
            case .verify: return .verify(self.peerDevice, options: self.options)
            default: return nil
            }
        }
    }

    private var attachArguments: AttachArguments {
        AttachArguments(
            minor: self.number(0),
            disk: self.words[1],
            metaDisk: self.words[2],
            index: self.words[3],
            options: self.options
        )
    }

    private var sourceNodeID: Int? {
        get throws(UsageFailure) {
            guard let text = self.value("sync-from-peer-node-id") else { return nil }
            guard let number = Int(text), (-1...31).contains(number) else {
                throw UsageFailure("'\(text)' is no node id: a number from 0 to 31 is expected")
            }
            return number < 0 ? nil : number
        }
    }
}
