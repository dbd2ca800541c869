// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Wire

/// Contract 5: two nodes that are connected are never both Primary.
struct RoleCheck {
    static func fault(_ world: World) -> String? {
        let nodes = world.nodes
        guard nodes.allSatisfy({ $0.isUp && $0.core.role == .primary && $0.transport != nil }),
            nodes[0].transport === nodes[1].transport
        else { return nil }
        for index in nodes[0].core.volumeIndices {
            let states = nodes.map { world.state($0.number, index).connection }
            if states.allSatisfy({ $0 >= .connected }) {
                return "both nodes are Primary and volume \(index) is connected"
            }
        }
        return nil
    }
}
