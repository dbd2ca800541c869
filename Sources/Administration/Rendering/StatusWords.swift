// SPDX-License-Identifier: Apache-2.0

import Foundation

extension Bool {
    /// `yes` or `no`.
    var word: String { self ? "yes" : "no" }
}

extension Double {
    /// The number with so many decimals as C's `%.Nf` prints it.
    func fixed(_ decimals: Int) -> String {
        // C leaves the sign of NaN to the platform.
        self.isNaN ? "nan" : String(format: "%.\(decimals)f", self)
    }
}

extension DeviceStatus {
    /// The value of `backing_dev:`.
    var backingText: String {
        guard let backingDevice, !backingDevice.isEmpty else { return "none" }
        return backingDevice
    }
}

extension ResourceStatus {
    /// The usable size of a volume in KiB, if it is known.
    func sizeOfVolume(_ volume: Int) -> UInt64? {
        self.devices.first { $0.volume == volume }?.statistics?.size
    }
}

extension ResyncDetails {
    /// The names and values that every resync or verify has.
    var fields: [(name: String, value: UInt64)] {
        [
            ("rs-total", self.total), ("rs-dt-start-ms", self.runningTime),
            ("rs-paused-ms", self.pausedTime), ("rs-dt0-ms", self.window0.time),
            ("rs-db0-sectors", self.window0.sectors), ("rs-dt1-ms", self.window1.time),
            ("rs-db1-sectors", self.window1.sectors),
        ]
    }

    /// The names and values of a resync that is no verify.
    var resultFields: [(name: String, value: UInt64)] {
        [("rs-failed", self.failed), ("rs-same-csum", self.sameChecksum)]
    }
}

extension VerifyDetails {
    /// The names and values of a verify.
    var fields: [(name: String, value: UInt64)] {
        [
            ("ov-start-sector", self.start), ("ov-stop-sector", self.stop),
            ("ov-position", self.position), ("ov-left", self.left), ("ov-skipped", self.skipped),
        ]
    }
}
