// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Wire

/// Calls `body` for every combination of connection, disks, roles and pauses.
func forEachVolumeState(_ body: (VolumeState) -> Void) {
    for connection in ConnectionCode.allCases {
        for disk in DiskState.allCases {
            for peerDisk in DiskState.allCases {
                for role in Role.allCases {
                    for peerRole in Role.allCases {
                        for pause in UInt8(0)..<8 {
                            body(
                                VolumeState(
                                    role: role,
                                    peerRole: peerRole,
                                    connection: connection,
                                    disk: disk,
                                    peerDisk: peerDisk,
                                    resyncPause: ResyncPause(rawValue: pause)
                                )
                            )
                        }
                    }
                }
            }
        }
    }
}
