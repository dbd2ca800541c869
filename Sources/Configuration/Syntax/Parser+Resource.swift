// SPDX-License-Identifier: Apache-2.0

extension Parser {
    /// Parses `resource NAME { … }`; the keyword is the current token.
    mutating func parseResource() throws(Diagnostic) {
        let start = self.position
        self.advance()
        let name = try self.resourceName()
        if let first = self.configuration.resources.first(where: { $0.name == name }) {
            throw Self.conflict(start, "resource section '\(name)'", first.position)
        }
        if self.configuration.resources.count == Limits.resources {
            throw Diagnostic(start, "more than \(Limits.resources) resources")
        }
        var resource = Resource(name: name, position: start)
        var seen = SeenSections()
        try self.expect("{")
        while !self.accept(mark: "}") {
            try self.parseResourceStatement(of: &resource, &seen)
        }
        self.configuration.resources.append(resource)
    }

    /// Takes a name that can stand in targets, export names and file names.
    private mutating func resourceName() throws(Diagnostic) -> String {
        let start = self.position
        let name = try self.name("a resource name")
        let isPlain = name.utf8.allSatisfy {
            (0x21...0x7E).contains($0) && !"/:\"\\".utf8.contains($0)
        }
        let isTaken = name == "all" || name.hasPrefix("minor-") || name == "." || name == ".."
        guard isPlain, !isTaken, !name.hasPrefix("-"), name.utf8.count <= Limits.wordBytes else {
            throw Diagnostic(
                start,
                "'\(name)' is no name for a resource: up to \(Limits.wordBytes) ASCII characters "
                    + "without blanks, / : \" and \\, and not all, minor-... or -..."
            )
        }
        return name
    }

    private mutating func parseResourceStatement(
        of resource: inout Resource,
        _ seen: inout SeenSections
    ) throws(Diagnostic) {
        guard self.token.kind == .word else { throw self.expected(Self.resourceKeywords) }
        switch self.token.text {
        case "skip": try self.parseSkip()
        case "disk": try self.parseDisk(of: &resource, &seen)
        case "device", "meta-disk", "flexible-meta-disk", "volume":
            try self.parseVolumeStatement(into: &resource.volumes, of: .resource)
        case "on", "on-linux", "on-windows", "floating", "stacked-on-top-of":
            try self.parseHost(of: &resource)
        case "connection": try self.parseConnection(of: &resource)
        case "connection-mesh": try self.parseMesh(of: &resource)
        case "template-file":
            let start = self.position
            self.advance()
            guard self.token.kind == .word || self.token.kind == .quoted else {
                throw self.expected("a file name")
            }
            let name = self.advance().text
            try self.expect(";")
            let template = try self.parseTemplate(name, at: start)
            resource.templateFile = template.path
            resource.template = template.sections
        default:
            if try !self.parseSection(into: &resource.sections, &seen, of: resource.name) {
                throw self.expected(Self.resourceKeywords)
            }
        }
    }

    private static var resourceKeywords: String {
        "protocol | on | on-linux | on-windows | floating | stacked-on-top-of | disk | net | "
            + "syncer | startup | handlers | options | proxy | device | meta-disk | volume | "
            + "connection | connection-mesh | template-file | skip"
    }

    /// `disk PATH;` of the implicit volume, or the section.
    private mutating func parseDisk(of resource: inout Resource, _ seen: inout SeenSections)
        throws(Diagnostic)
    {
        var ahead = self
        ahead.advance()
        if ahead.token.isMark("{") {
            _ = try self.parseSection(into: &resource.sections, &seen, of: resource.name)
        } else {
            try self.parseVolumeStatement(into: &resource.volumes, of: .resource)
        }
    }

    // MARK: Volumes

    /// Where volumes are described; what may stand there twice differs.
    enum VolumeOwner {
        /// A section of a volume may be repeated: of each statement the first section's counts.
        case resource
        case host
    }

    /// Parses `device`, `disk`, `meta-disk` of an implicit volume 0, or `volume N { … }`.
    mutating func parseVolumeStatement(into volumes: inout [Volume], of owner: VolumeOwner)
        throws(Diagnostic)
    {
        let start = self.position
        if self.accept("volume") { return try self.parseVolume(into: &volumes, of: owner, start) }
        if let explicit = volumes.first(where: { !$0.isImplicit }) {
            throw Diagnostic(
                start,
                "you must not mix implicit and explicit volumes (volume \(explicit.number) of "
                    + "line \(explicit.position.line))"
            )
        }
        if volumes.isEmpty {
            volumes.append(Volume(number: 0, position: start, isImplicit: true))
        }
        try self.parseVolumePart(of: &volumes[0], in: owner)
    }

    private mutating func parseVolume(
        into volumes: inout [Volume],
        of owner: VolumeOwner,
        _ start: SourcePosition
    ) throws(Diagnostic) {
        let number = try self.integer("volume", in: 0...Limits.volumeNumberMaximum)
        if owner == .host, let first = volumes.first(where: { $0.number == number }) {
            throw Self.conflict(start, "volume section '\(number)'", first.position)
        }
        if volumes.count == Limits.volumes {
            throw Diagnostic(start, "more than \(Limits.volumes) volumes")
        }
        var volume = Volume(number: number, position: start, isImplicit: false)
        try self.expect("{")
        while !self.accept(mark: "}") {
            if self.token.isWord("skip") {
                try self.parseSkip()
            } else {
                try self.parseVolumePart(of: &volume, in: owner)
            }
        }
        let place = volumes.firstIndex { $0.number > number } ?? volumes.endIndex
        volumes.insert(volume, at: place)
    }

    /// Parses a statement of a volume; where it may stand twice, the last one counts.
    private mutating func parseVolumePart(of volume: inout Volume, in owner: VolumeOwner)
        throws(Diagnostic)
    {
        let start = self.position
        let isOnce = volume.isImplicit && owner == .host
        if self.accept("device") {
            if volume.device != nil, volume.isImplicit { throw self.repeated("device", start) }
            let device = try self.parseDevice(at: start)
            volume.device = Volume.Device(
                name: device.name ?? volume.device?.name,
                minor: device.minor
            )
        } else if self.accept("disk") {
            try self.parseVolumeDisk(of: &volume, isOnce: isOnce, at: start)
        } else if self.token.isWord("meta-disk") || self.token.isWord("flexible-meta-disk") {
            if volume.metaDisk != nil, isOnce { throw self.repeated("meta-disk", start) }
            volume.metaDisk = try self.parseMetaDisk()
        } else {
            throw self.expected("device | disk | meta-disk | flexible-meta-disk | skip | }")
        }
    }

    func repeated(_ what: String, _ position: SourcePosition) -> Diagnostic {
        Diagnostic(position, "conflicting use of \(what) statement: it stands here twice")
    }

    private mutating func parseVolumeDisk(
        of volume: inout Volume,
        isOnce: Bool,
        at start: SourcePosition
    ) throws(Diagnostic) {
        if self.token.isMark("{") {
            if isOnce, volume.hasDiskSection { throw self.repeated("disk section", start) }
            return try self.parseDiskSection(of: &volume)
        }
        if isOnce, volume.disk != nil { throw self.repeated("disk", start) }
        let isNone = self.token.isWord("none")
        let path = try self.name("a backing device or none")
        try self.expect(";")
        volume.disk = isNone ? Volume.Disk.none : .path(path)
    }

    /// Several sections are one; an option may stand in one of them only.
    private mutating func parseDiskSection(of volume: inout Volume) throws(Diagnostic) {
        volume.hasDiskSection = true
        var list = volume.diskOptions
        list.settings += volume.peerDeviceOptions.settings
        try self.parseOptions([.disk, .peerDevice], into: &list)
        let isOfDisk = { (setting: OptionSetting) in
            OptionTable.find(setting.name, in: .disk) != nil
        }
        volume.diskOptions.settings = list.settings.filter(isOfDisk)
        volume.peerDeviceOptions.settings = list.settings.filter { !isOfDisk($0) }
    }

    private mutating func parseMetaDisk() throws(Diagnostic) -> Volume.MetaDisk {
        let isFlexible = self.advance().text == "flexible-meta-disk"
        let path = try self.name("a metadata device or internal")
        if !isFlexible, path != "internal", self.accept(mark: "[") {
            let index = try self.integer("meta-disk index", in: 0...65535)
            try self.expect("]")
            try self.expect(";")
            return .indexed(path, index: index)
        }
        try self.expect(";")
        return path == "internal" ? .internal : .flexible(path)
    }

    private mutating func parseDevice(at start: SourcePosition) throws(Diagnostic)
        -> Volume.Device
    {
        var name: String?
        if !self.token.isWord("minor") { name = try self.name("a device name or minor") }
        var minor: Int?
        if self.accept("minor") {
            minor = try self.integer("minor", in: 0...Limits.minorMaximum)
        }
        try self.expect(";")
        guard let written = name else { return Volume.Device(name: nil, minor: minor ?? 0) }
        let path = written.hasPrefix("/") ? written : "/dev/" + written
        guard let prefix = ["/dev/drbd", "/dev/bsr"].first(where: { path.hasPrefix($0) }) else {
            throw Diagnostic(
                start,
                "device name must start with /dev/drbd or /dev/bsr\n\t(/dev/ is optional)"
            )
        }
        let suffix = String(path.dropFirst(prefix.count))
        let digits = suffix.utf8.count <= 7 && suffix.utf8.allSatisfy { (0x30...0x39).contains($0) }
        let number = digits ? Int(suffix) : nil
        guard let minor = minor ?? number else {
            throw Diagnostic(start, "no minor given nor device name contains a minor number")
        }
        guard minor == number || suffix.hasPrefix("_") else {
            throw Diagnostic(
                start,
                "explicit minor number must match with device name\n"
                    + "\tTry \"device \(prefix)\(minor) minor \(minor);\",\n"
                    + "\tor leave off either device name or explicit minor.\n"
                    + "\tArbitrary device names must start with \(prefix)_"
            )
        }
        if minor > Limits.minorMaximum {
            throw Diagnostic(
                start,
                "minor \(minor) => \(minor) out of range [0..\(Limits.minorMaximum)]."
            )
        }
        return Volume.Device(name: path, minor: minor)
    }
}
