// SPDX-License-Identifier: Apache-2.0

/// What `wait-connect-…` and `wait-sync-…` wait for, judged by a resource's status.
package struct WaitCondition: Sendable, Hashable {
    /// What has to come.
    package enum Goal: Sendable, Hashable {
        /// A connection with both sides' volumes known.
        case connected
        /// The end of every resync.
        case synchronized
    }

    /// How a status compares with the goal.
    package enum Verdict: Sendable, Hashable {
        /// The goal is reached.
        case reached
        /// It may still be reached.
        case pending
        /// It cannot be reached any more, for example because a connection stands alone.
        case hopeless
        /// What is waited for does not exist.
        case unknownObject
    }

    /// What has to come.
    package var goal: Goal
    /// The peer it is about; nil for all peers.
    package var peerNodeID: Int?
    /// The volume it is about; nil for all volumes.
    package var volume: Int?
    /// `--wait-after-sb`: to wait although a connection stands alone.
    package var waitsForStandAlone = false

    /// Creates a condition on all peers and volumes.
    package init(_ goal: Goal) { self.goal = goal }

    /// Judges `resource`; nil stands for a resource that does not exist.
    package func judge(_ resource: ResourceStatus?) -> Verdict {
        guard let resource else { return .unknownObject }
        let connections = resource.connections.filter {
            self.peerNodeID == nil || $0.peerNodeID == self.peerNodeID
        }
        if self.peerNodeID != nil, connections.isEmpty { return .unknownObject }
        let verdicts = connections.map(self.judge)
        if verdicts.contains(.unknownObject) { return .unknownObject }
        if verdicts.contains(.hopeless) { return .hopeless }
        return verdicts.contains(.pending) ? .pending : .reached
    }

    /// What the goal still lacks, for people; nil if it is reached.
    package func obstacle(_ resource: ResourceStatus) -> String? {
        for connection in resource.connections
        where self.peerNodeID == nil || connection.peerNodeID == self.peerNodeID {
            switch self.judge(connection) {
            case .reached, .unknownObject: continue
            case .hopeless:
                let reason = connection.problem.map { " (\($0.rawValue))" } ?? ""
                return "the connection to \(connection.name) is StandAlone\(reason) until "
                    + "somebody says 'bsradm connect \(resource.name)' "
                    + "(--wait-after-sb waits for that)"
            case .pending: break
            }
            guard connection.state == .connected else {
                return "\(connection.name) is not connected (\(connection.state.rawValue))"
            }
            let volume = connection.peerDevices.first {
                (self.volume == nil || $0.volume == self.volume) && !self.isReached($0)
            }
            guard let volume else { continue }
            return volume.replication == .off
                ? "\(connection.name) does not have volume \(volume.volume)"
                : "volume \(volume.volume) to \(connection.name) is in "
                    + volume.replication.rawValue
        }
        return nil
    }

    private func judge(_ connection: ConnectionStatus) -> Verdict {
        let volumes = connection.peerDevices.filter {
            self.volume == nil || $0.volume == self.volume
        }
        if self.volume != nil, volumes.isEmpty { return .unknownObject }
        if connection.state == .standAlone, !self.waitsForStandAlone { return .hopeless }
        guard connection.state == .connected else { return .pending }
        return volumes.allSatisfy(self.isReached) ? .reached : .pending
    }

    private func isReached(_ volume: PeerDeviceStatus) -> Bool {
        switch self.goal {
        case .connected: volume.replication != .off
        case .synchronized: volume.replication == .established || volume.replication.isVerify
        }
    }
}

extension SetupInvocation {
    /// What the verb waits for; nil if it does not wait.
    package var waitCondition: WaitCondition? {
        var condition: WaitCondition
        switch self.verb {
        case .waitConnectResource, .waitConnectConnection, .waitConnectVolume:
            condition = WaitCondition(.connected)
        case .waitSyncResource, .waitSyncConnection, .waitSyncVolume:
            condition = WaitCondition(.synchronized)
        default: return nil
        }
        if self.words.count > 1 { condition.peerNodeID = self.number(1) }
        if self.words.count > 2 { condition.volume = self.number(2) }
        condition.waitsForStandAlone = self.isSet("wait-after-sb")
        return condition
    }
}
