// SPDX-License-Identifier: Apache-2.0

import Wire

/// What `status` is to print, and where.
package struct StatusOptions: Sendable, Hashable {
    /// How often `--verbose` was given.
    package var verbosity = 0
    /// `--statistics`.
    package var showsStatistics = false
    /// Whether to use colours.
    package var isColored = false
    /// Whether a terminal reads it: some keys are then left out.
    package var isTerminal = false
    /// The columns of the terminal, 80 if there is none.
    package var width = 80

    /// Creates the options of plain `status` into a file.
    package init() {}

    var isVerbose: Bool { self.verbosity > 0 }
}

/// The text of `status`.
///
/// Source: `reference/drbd-metadata.md` §9.2. Keys that only bsr has come after all others of their
/// object, and only if there is something to say.
package struct StatusText {
    private let options: StatusOptions
    private var output: WrappedText

    /// The paragraphs of `resources`, sorted by name.
    package static func render(_ resources: [ResourceStatus], _ options: StatusOptions) -> String {
        guard !resources.isEmpty else { return "# No currently configured DRBD found.\n" }
        var writer = StatusText(options)
        for resource in resources.sorted(by: { $0.name < $1.name }) { writer.write(resource) }
        return writer.output.text
    }

    private init(_ options: StatusOptions) {
        self.options = options
        self.output = WrappedText(width: options.width, isColored: options.isColored)
    }

    private var isVerbose: Bool { self.options.isVerbose }
    private var showsStatistics: Bool { self.options.showsStatistics }

    private mutating func write(_ resource: ResourceStatus) {
        self.output.token(resource.name, indent: 0)
        if self.isVerbose { self.output.token("node-id:", "\(resource.nodeID)", indent: 4) }
        let color = Highlight.role(resource.role, isOwn: true)
        self.output.token("role:", resource.role.text, color, indent: 4)
        if self.isVerbose || resource.suspension.isSuspended {
            self.output.token("suspended:", resource.suspension.text, indent: 4)
        }
        if self.isVerbose || resource.forcesIOFailures {
            self.output.token("force-io-failures:", resource.forcesIOFailures.word, indent: 4)
        }
        if self.isVerbose, self.showsStatistics {
            self.output.endLine()
            self.output.token("write-ordering:", resource.writeOrdering.rawValue, indent: 4)
            if let pending = resource.pendingRequests {
                self.output.token("req-pending:", "\(pending)", indent: 4)
            }
        }
        self.output.endLine()
        for device in resource.devices {
            self.write(device, isOneOfMany: resource.devices.count > 1)
        }
        for connection in resource.connections.sorted(by: { $0.name < $1.name }) {
            self.write(connection, of: resource)
        }
        self.output.emptyLine()
    }

    // MARK: Devices

    private mutating func write(_ device: DeviceStatus, isOneOfMany: Bool) {
        var indent = 2
        func next() -> Int {
            defer { indent = 6 }
            return indent
        }
        if self.isVerbose || isOneOfMany || device.volume != 0 {
            self.output.token("volume:", "\(device.volume)", indent: next())
        }
        if self.isVerbose { self.output.token("minor:", "\(device.minor)", indent: next()) }
        let color = Highlight.disk(device.disk, client: device.client, isOwn: true)
        self.output.token("disk:", device.disk.text, color, indent: next())
        if device.disk == .diskless, self.isVerbose || !self.options.isTerminal {
            self.output.token("client:", device.client.rawValue, indent: 6)
        }
        if self.isVerbose {
            self.output.token("backing_dev:", device.backingText, indent: 6)
        }
        if self.isVerbose || !device.hasQuorum {
            let color = device.hasQuorum ? nil : Highlight.ownBad
            self.output.token("quorum:", device.hasQuorum.word, color, indent: 6)
        }
        if let statistics = device.statistics { self.write(statistics) }
        if let errors = device.diskErrors {
            self.output.token("io-error:", "\(errors)", indent: 6)
        }
        self.output.endLine()
    }

    private mutating func write(_ statistics: DeviceStatistics) {
        if self.showsStatistics {
            self.output.endLine()
            if self.isVerbose { self.output.token("size:", "\(statistics.size)", indent: 6) }
            self.output.token("read:", "\(statistics.read)", indent: 6)
            self.output.token("written:", "\(statistics.written)", indent: 6)
        }
        if self.showsStatistics, self.isVerbose {
            self.output.token("al-writes:", "\(statistics.activityLogWrites)", indent: 6)
            self.output.token("bm-writes:", "\(statistics.bitmapWrites)", indent: 6)
            self.output.token("upper-pending:", "\(statistics.upperPending)", indent: 6)
            self.output.token("lower-pending:", "\(statistics.lowerPending)", indent: 6)
            self.output.token("al-suspended:", statistics.isActivityLogSuspended.word, indent: 6)
        }
        if self.isVerbose || statistics.blocked != "no" {
            self.output.token("blocked:", statistics.blocked, indent: 6)
        }
        if self.showsStatistics, self.isVerbose, let used = statistics.activityLogUsed {
            self.output.token("al-used:", "\(used)", indent: 6)
        }
    }

    // MARK: Connections

    private mutating func write(_ connection: ConnectionStatus, of resource: ResourceStatus) {
        var indent = 2
        func next() -> Int {
            defer { indent = 6 }
            return indent
        }
        let isConnected = connection.state == .connected
        if !connection.name.isEmpty { self.output.token(connection.name, indent: next()) }
        if self.isVerbose || connection.name.isEmpty {
            self.output.token("node-id:", "\(connection.peerNodeID)", indent: next())
        }
        if self.isVerbose || !isConnected {
            let color = Highlight.connection(connection.state)
            self.output.token("connection:", connection.state.rawValue, color, indent: 6)
        }
        if self.isVerbose || isConnected {
            let color = Highlight.role(connection.peerRole, isOwn: false)
            self.output.token("role:", connection.peerRole.text, color, indent: 6)
        }
        if self.isVerbose || connection.isCongested {
            self.output.token("congested:", connection.isCongested.word, indent: 6)
            self.output.token("ap-in-flight:", "\(connection.applicationInFlight)", indent: 6)
            self.output.token("rs-in-flight:", "\(connection.resyncInFlight)", indent: 6)
        }
        if let problem = connection.problem {
            self.output.token("error:", problem.rawValue, indent: 6)
        }
        self.output.endLine()
        guard self.isVerbose || self.showsStatistics || isConnected else { return }
        for peerDevice in connection.peerDevices {
            let size = resource.sizeOfVolume(peerDevice.volume)
            self.write(peerDevice, isOneOfMany: connection.peerDevices.count > 1, size)
        }
    }

    private mutating func write(_ peer: PeerDeviceStatus, isOneOfMany: Bool, _ size: UInt64?) {
        var indent = 4
        func next() -> Int {
            defer { indent = 8 }
            return indent
        }
        if self.isVerbose || isOneOfMany || peer.volume != 0 {
            self.output.token("volume:", "\(peer.volume)", indent: next())
        }
        if self.isVerbose || peer.replication.isAboveEstablished {
            let color = Highlight.replication(peer.replication)
            self.output.token("replication:", peer.replication.rawValue, color, indent: next())
        }
        let isIdle = peer.replication == .off && peer.disk == .unknown
        if self.isVerbose || self.showsStatistics || !isIdle {
            let color = Highlight.disk(peer.disk, client: peer.client, isOwn: false)
            self.output.token("peer-disk:", peer.disk.text, color, indent: next())
            if peer.disk == .diskless, self.isVerbose || !self.options.isTerminal {
                self.output.token("peer-client:", peer.client.rawValue, indent: 8)
            }
            let figures = peer.statistics.flatMap {
                ResyncFigures($0, in: peer.replication, deviceSize: size)
            }
            if let figures { self.output.token("done:", figures.done.fixed(2), indent: 8) }
            if self.isVerbose || peer.resyncSuspension.isSuspended {
                self.output.token("resync-suspended:", peer.resyncSuspension.text, indent: 8)
            }
            if self.showsStatistics, let statistics = peer.statistics {
                self.write(statistics, figures)
            }
        }
        self.output.endLine()
    }

    private mutating func write(_ statistics: PeerDeviceStatistics, _ figures: ResyncFigures?) {
        self.output.endLine()
        self.output.token("received:", "\(statistics.received)", indent: 8)
        self.output.token("sent:", "\(statistics.sent)", indent: 8)
        if self.isVerbose || statistics.outOfSync > 0 {
            self.output.token("out-of-sync:", "\(statistics.outOfSync)", indent: 8)
        }
        guard self.isVerbose else { return }
        self.output.token("pending:", "\(statistics.pending)", indent: 8)
        self.output.token("unacked:", "\(statistics.unacknowledged)", indent: 8)
        guard let figures, let resync = statistics.resync else { return }
        if self.options.verbosity > 1 { self.write(resync, statistics.verify, figures) }
        self.output.token("dbdt1:", resync.window1.mebibytesPerSecond.fixed(2), indent: 8)
        self.output.token("eta:", figures.secondsLeft.fixed(0), indent: 8)
    }

    private mutating func write(
        _ resync: ResyncDetails,
        _ verify: VerifyDetails?,
        _ figures: ResyncFigures
    ) {
        for (name, value) in resync.fields + (verify?.fields ?? resync.resultFields) {
            self.output.token(name + ":", "\(value)", indent: 8)
        }
        if let wanted = resync.wantedRate { self.output.token("want:", "\(wanted)", indent: 8) }
        self.output.token("dbdt:", figures.averageRate.fixed(2), indent: 8)
        self.output.token("dbdt0:", resync.window0.mebibytesPerSecond.fixed(2), indent: 8)
    }
}
