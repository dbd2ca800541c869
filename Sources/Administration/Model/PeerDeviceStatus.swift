// SPDX-License-Identifier: Apache-2.0

package import Wire

/// A volume as seen towards one peer.
package struct PeerDeviceStatus: Codable, Sendable, Hashable {
    /// The volume number.
    package var volume: Int
    /// The state of replication.
    package var replication: ReplicationState = .off
    /// The peer's disk as far as known.
    package var disk: DiskState = .unknown
    /// Whether the peer is meant to have no disk.
    package var client = ClientState.no
    /// Why resync is paused, if it is.
    package var resyncSuspension = ResyncSuspensionStatus()
    /// Counters; nil if nothing is known.
    package var statistics: PeerDeviceStatistics?

    /// Creates the status of a volume towards a peer that is not connected.
    package init(volume: Int) { self.volume = volume }
}

/// What was exchanged with a peer for one volume.
package struct PeerDeviceStatistics: Codable, Sendable, Hashable {
    /// Received from the peer, KiB.
    package var received: UInt64 = 0
    /// Sent to the peer, KiB.
    package var sent: UInt64 = 0
    /// What may differ between the nodes, KiB.
    package var outOfSync: UInt64 = 0
    /// Requests sent and not answered.
    package var pending: UInt64 = 0
    /// Requests received and not answered.
    package var unacknowledged: UInt64 = 0
    /// The resync or verify that runs.
    package var resync: ResyncDetails?
    /// The verify that runs, in addition to `resync`.
    package var verify: VerifyDetails?

    /// Creates counters that are zero.
    package init() {}
}

/// The course of a resync or verify.
///
/// Amounts are sectors of 512 bytes, times milliseconds.
package struct ResyncDetails: Codable, Sendable, Hashable {
    /// Sectors to do when it began.
    package var total: UInt64 = 0
    /// Time since it began.
    package var runningTime: UInt64 = 0
    /// Time for which it was paused.
    package var pausedTime: UInt64 = 0
    /// The short window for the rate: its time and what was done in it.
    package var window0 = RateWindow()
    /// The long window.
    package var window1 = RateWindow()
    /// Sectors that could not be done.
    package var failed: UInt64 = 0
    /// Sectors found equal by checksum.
    package var sameChecksum: UInt64 = 0
    /// The rate that the controller wants, KiB/s.
    package var wantedRate: UInt64?

    /// Creates the details of a resync of `total` sectors.
    package init(total: UInt64) { self.total = total }
}

/// What was done in a span of time.
package struct RateWindow: Codable, Sendable, Hashable {
    /// The span, milliseconds.
    package var time: UInt64 = 0
    /// Sectors done in it.
    package var sectors: UInt64 = 0

    /// Creates a window.
    package init(time: UInt64 = 0, sectors: UInt64 = 0) {
        self.time = time
        self.sectors = sectors
    }

    /// MiB/s; 0 for an empty span.
    var mebibytesPerSecond: Double {
        guard self.time > 0 else { return 0 }
        return Double(self.sectors) / 2048 / (Double(self.time) / 1000)
    }
}

/// Where a verify is, in sectors.
package struct VerifyDetails: Codable, Sendable, Hashable {
    /// The first sector to verify.
    package var start: UInt64 = 0
    /// The first sector not to verify.
    package var stop: UInt64 = 0
    /// The next sector.
    package var position: UInt64 = 0
    /// Sectors left.
    package var left: UInt64 = 0
    /// Sectors skipped.
    package var skipped: UInt64 = 0

    /// Creates the details of a verify of nothing.
    package init() {}
}

/// The figures that follow from a resync's course.
///
/// Source: `reference/drbd-metadata.md` §9.2 (DRBD's `done`, `dbdt` and `eta`).
struct ResyncFigures {
    /// Per cent done.
    let done: Double
    /// Seconds to go; NaN if nothing is known about the rate.
    let secondsLeft: Double
    /// MiB/s since the begin, pauses not counted.
    let averageRate: Double

    /// The figures of `statistics`; nil if nothing runs.
    ///
    /// - Parameter deviceSize: the volume's size in KiB, for an engine that keeps no total.
    init?(_ statistics: PeerDeviceStatistics, in state: ReplicationState, deviceSize: UInt64?) {
        guard state.hasProgress else { return nil }
        guard let resync = statistics.resync else {
            guard let deviceSize, deviceSize > 0 else { return nil }
            self.done = Self.inSync(statistics.outOfSync, of: deviceSize)
            self.secondsLeft = .nan
            self.averageRate = 0
            return
        }
        let outOfSync = Double(statistics.outOfSync) * 2
        let verifyLeft = statistics.verify.map { Double($0.left) } ?? 0
        let left = verifyLeft > 0 ? verifyLeft : max(0, outOfSync - Double(resync.failed))
        let total = Double(resync.total)
        self.done = total > 0 ? max(0, 100 * (total - left) / total) : 100
        let rate = resync.window1.mebibytesPerSecond * 2048
        self.secondsLeft = rate > 0 ? left / rate : .nan
        let time = resync.runningTime.subtractingReportingOverflow(resync.pausedTime)
        let window = RateWindow(
            time: time.overflow ? 0 : time.partialValue,
            sectors: UInt64(max(0, total - left))
        )
        self.averageRate = window.mebibytesPerSecond
    }

    /// Per cent of `size` that are in sync.
    static func inSync(_ outOfSync: UInt64, of size: UInt64) -> Double {
        guard size > 0 else { return 100 }
        return max(0, 100 * (1 - Double(outOfSync) / Double(size)))
    }
}
