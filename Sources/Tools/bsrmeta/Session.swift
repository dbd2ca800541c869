// SPDX-License-Identifier: Apache-2.0

import Glibc
import Metadata

/// One command on one device: finds metadata, stores it, remembers the device's size.
final class Session {
    let invocation: Invocation
    let file: MetadataFile
    private let lastKnown: LastKnownFile

    init(_ invocation: Invocation) throws(Failure) {
        self.invocation = invocation
        self.lastKnown = LastKnownFile(invocation)
        self.file = try MetadataFile(
            invocation.metaDevice,
            forWriting: !invocation.command.isReading,
            force: invocation.options.force,
            isDryRun: invocation.options.isDryRun
        )
        guard self.file.byteCount >= Layout.deviceBytesMinimum else {
            throw Failure(
                10,
                "\(invocation.metaDevice) is only \(self.file.byteCount) bytes. "
                    + "That's not enough.\nMetadata needs at least "
                    + "\(Layout.deviceBytesMinimum): give the disk more room, or correct 'disk' or "
                    + "'meta-disk' in the resource file."
            )
        }
    }

    var options: Invocation.Options { self.invocation.options }

    /// Metadata of the requested format where it belongs; nil, with reasons on stderr, if there is
    /// none.
    func find() throws(Failure) -> StoredMetadata? {
        try self.find(self.invocation.version, deviceBytes: self.file.byteCount, isQuiet: false)
    }

    /// Metadata of the requested format where it belongs.
    func require() throws(Failure) -> StoredMetadata {
        guard let metadata = try self.find() else {
            if try self.findLastKnown() != nil {
                Console.error("Found meta data at its former place; use check-resize to move it.")
            }
            throw self.noMetadata
        }
        return metadata
    }

    /// There is no metadata, and how to make some.
    var noMetadata: Failure {
        let target =
            getenv("BSR_RESOURCE").map { String(cString: $0) }
            ?? self.invocation.minor.map { "minor-\($0)" }
        guard let target else { return Failure(1, "No valid meta data found") }
        return Failure(
            1,
            "No valid meta data found on \(self.invocation.metaDevice); for a new disk, run: "
                + "bsradm create-md \(target); if it held data, do not: check its size"
        )
    }

    /// Metadata of any format where it belongs.
    func findAny() throws(Failure) -> StoredMetadata? {
        for version in FormatVersion.allCases.reversed() {
            if let found = try self.find(
                version,
                deviceBytes: self.file.byteCount,
                isQuiet: version != self.invocation.version
            ) {
                return found
            }
        }
        return nil
    }

    /// Internal metadata where it lay when the device had another size.
    func findLastKnown() throws(Failure) -> StoredMetadata? {
        guard self.invocation.placement.isInternal, let known = try self.lastKnown.read() else {
            return nil
        }
        if self.options.verbosity > 0 {
            Console.error(" last known info: \(known.deviceBytes) \(known.path)")
        }
        guard known.deviceBytes != self.file.byteCount else { return nil }
        guard known.deviceBytes < self.file.byteCount else {
            if self.options.verbosity > 0 {
                Console.error("Meta data was at a place that is gone: the device is too small now!")
            }
            return nil
        }
        let found = try self.find(
            self.invocation.version,
            deviceBytes: known.deviceBytes,
            isQuiet: false
        )
        guard let found, known.names(found) || self.options.force else { return nil }
        return found
    }

    private func find(
        _ version: FormatVersion,
        deviceBytes: UInt64,
        isQuiet: Bool
    ) throws(Failure) -> StoredMetadata? {
        let placement = self.invocation.placement
        do {
            let position = try Layout.superblockPosition(placement, deviceBytes: deviceBytes)
            let bytes = try self.file.read(at: position, count: Superblock.byteCount)
            let found = try StoredMetadata(
                decoding: bytes.span.bytes,
                version: version,
                placement: placement,
                deviceBytes: deviceBytes
            )
            for warning in found.warnings where !isQuiet { Console.error(warning.description) }
            return found
        } catch let fault as SuperblockFault {
            if !isQuiet && (!fault.isAbsence || self.options.verbosity > 0) {
                Console.error(fault.description)
            }
            return nil
        } catch let fault as LayoutFault {
            if !isQuiet { Console.error(fault.description) }
            return nil
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(10, "\(error)")
        }
    }

    /// The layout that new metadata gets.
    func newLayout(
        slots: BitmapGeometry,
        geometry: ActivityLogGeometry
    ) throws(Failure) -> Layout {
        do throws(LayoutFault) {
            return try Layout(
                self.invocation.placement,
                deviceBytes: self.file.byteCount,
                slots: slots,
                geometry: geometry
            )
        } catch { throw Failure(10, "\(self.file.path): \(error)") }
    }

    /// The activity log's shape: what the options say, else `standard`.
    func geometry(
        standard: ActivityLogGeometry = .standard
    ) throws(Failure) -> ActivityLogGeometry {
        guard self.options.stripes != nil || self.options.stripeKibibytes != nil else {
            return standard
        }
        let stripes = self.options.stripes ?? standard.stripes
        let blocks = self.options.stripeKibibytes.map { $0 / 4 } ?? standard.blocksPerStripe
        guard let geometry = ActivityLogGeometry(stripes: stripes, blocksPerStripe: blocks) else {
            let isSmall = UInt64(stripes) * UInt64(blocks) < 8
            throw Failure(10, "invalid (too \(isSmall ? "small" : "large")) al-stripe* settings")
        }
        return geometry
    }

    /// Writes the superblock durably and remembers where it is.
    func store(_ metadata: StoredMetadata) throws(Failure) {
        try self.file.flush()
        try self.file.write(Self.encoded(metadata), at: metadata.layout.superblockPosition)
        try self.file.flush()
        self.remember(metadata)
    }

    /// Remembers the size of the device that holds `metadata`.
    @discardableResult
    func remember(_ metadata: StoredMetadata) -> Bool {
        guard !self.options.isDryRun else { return true }
        guard metadata.layout.placement.isInternal else {
            self.lastKnown.remove()
            return true
        }
        return self.lastKnown.write(
            LastKnownDevice(
                deviceBytes: self.file.byteCount,
                path: self.file.path,
                deviceUUID: metadata.superblock.deviceUUID
            )
        )
    }

    /// Forgets the size of the device.
    func forgetDevice() { if !self.options.isDryRun { self.lastKnown.remove() } }

    /// Writes the whole activity log as never used.
    func initialiseActivityLog(_ layout: Layout) throws(Failure) {
        var block = [UInt8](repeating: 0, count: ActivityLogBlock.byteCount)
        block.withUnsafeMutableBytes { ActivityLogBlock.encodeInitialised(into: $0) }
        var ring: [UInt8] = []
        ring.reserveCapacity(layout.geometry.byteCount)
        for _ in 0..<layout.geometry.blockCount { ring += block }
        try self.file.write(ring, at: layout.activityLogPosition)
    }

    /// The whole activity log as it lies on disk.
    func activityLog(_ layout: Layout) throws(Failure) -> [UInt8] {
        try self.file.read(at: layout.activityLogPosition, count: layout.geometry.byteCount)
    }

    private static func encoded(_ metadata: StoredMetadata) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Superblock.byteCount)
        bytes.withUnsafeMutableBytes { metadata.superblock.encode(into: $0) }
        return bytes
    }
}

/// The file that remembers the size of a volume's device.
///
/// It lies in the state folder: `--state-dir`, else `$BSR_STATE_DIR`, else the run folder if that
/// is not the usual one (several nodes on one machine keep apart), else `/var/lib/bsr`. Without a
/// minor number there is none.
private struct LastKnownFile {
    private let folder: String
    private let name: String?
    private let isVerbose: Bool

    init(_ invocation: Invocation) {
        let run = invocation.options.runFolder ?? Self.environment("BSR_RUN_DIR")
        self.folder =
            invocation.options.stateFolder ?? Self.environment("BSR_STATE_DIR")
            ?? run.flatMap { $0 == "/run/bsr" ? nil : $0 } ?? "/var/lib/bsr"
        self.name = invocation.minor.map { "bsr-minor-\($0).lkbd" }
        self.isVerbose = invocation.options.verbosity > 0
    }

    private var path: String? { self.name.map { self.folder + "/" + $0 } }

    func read() throws(Failure) -> LastKnownDevice? {
        guard let path = self.path, let content = try WholeFile.read(path) else { return nil }
        return LastKnownDevice(String(decoding: content, as: UTF8.self))
    }

    /// False if there is a name for it but it cannot be written.
    func write(_ device: LastKnownDevice) -> Bool {
        guard let path = self.path else { return true }
        mkdir(self.folder, 0o755)
        let isWritten = WholeFile.replace(path, by: device.text)
        if !isWritten && self.isVerbose {
            Console.error("\(path) cannot be written: check-resize will not find grown devices")
        }
        return isWritten
    }

    func remove() { if let path = self.path { unlink(path) } }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
