// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// The first frame on a TCP connection: who dials, for which connection, and how it is configured.
///
/// Several connections may share an address, so names tell them apart. The dialler is always the
/// connector of the channel.
package struct BridgeHello: Hashable, Sendable {
    /// The protocol versions that the dialler speaks.
    package var versions: ClosedRange<UInt16>
    /// 0, or 1 for the second TCP connection of the channel.
    package var lane: UInt8
    /// A random number that the relay has drawn at its start; tells a relay that dials itself.
    package var incarnation: UInt64
    package var resource: String
    /// The node whose relay dials.
    package var fromNode: String
    /// The node whose relay is dialled.
    package var toNode: String
    package var plugins: [Plugin]

    /// Creates a hello.
    package init(
        versions: ClosedRange<UInt16> = BridgeLimits.versions,
        lane: UInt8,
        incarnation: UInt64,
        resource: String,
        fromNode: String,
        toNode: String,
        plugins: [Plugin]
    ) {
        self.versions = versions
        self.lane = lane
        self.incarnation = incarnation
        self.resource = resource
        self.fromNode = fromNode
        self.toNode = toNode
        self.plugins = plugins
    }

    /// The whole frame.
    ///
    /// Traps if a name or the list is longer than its limit.
    package var bytes: [UInt8] {
        var writer = GreetingWriter()
        writer.append(self.versions.lowerBound)
        writer.append(self.versions.upperBound)
        writer.append(self.lane)
        writer.append(self.incarnation)
        writer.append(name: self.resource)
        writer.append(name: self.fromNode)
        writer.append(name: self.toNode)
        writer.append(self.plugins)
        return writer.frame(.hello)
    }

    init(from fields: inout GreetingReader) throws(BridgeError) {
        let minimum = try fields.number16()
        let maximum = try fields.number16()
        guard minimum <= maximum else {
            throw .field(.hello, .versions, value: UInt64(minimum))
        }
        self.versions = minimum...maximum
        self.lane = try fields.number8()
        guard self.lane < BridgeLimits.lanesPerChannel else {
            throw .field(.hello, .lane, value: UInt64(self.lane))
        }
        self.incarnation = try fields.number64()
        self.resource = try fields.name()
        self.fromNode = try fields.name()
        self.toNode = try fields.name()
        self.plugins = try fields.plugins()
    }
}

/// The acceptor's consent.
package struct BridgeWelcome: Hashable, Sendable {
    /// The protocol version to speak.
    package var version: UInt16
    /// The accepting relay's random number.
    package var incarnation: UInt64

    /// Creates a welcome.
    package init(version: UInt16, incarnation: UInt64) {
        self.version = version
        self.incarnation = incarnation
    }

    /// The whole frame.
    package var bytes: [UInt8] {
        var writer = GreetingWriter()
        writer.append(self.version)
        writer.append(self.incarnation)
        return writer.frame(.welcome)
    }

    init(from fields: inout GreetingReader) throws(BridgeError) {
        self.version = try fields.number16()
        self.incarnation = try fields.number64()
    }
}

/// Why a relay does not want a bridge; both relays log the text.
package struct BridgeRefusal: Hashable, Sendable {
    /// The rule that was broken.
    package enum Code: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
        case version = 1
        case unknownConnection = 2
        case plugins = 3
        case ownRelay = 4
        case notWanted = 5
    }

    package var code: Code
    /// A sentence: what differs, on which side, what to do.
    package var text: String

    /// Creates a refusal.
    package init(code: Code, text: String) {
        self.code = code
        self.text = text
    }

    /// The whole frame; a longer text is cut at its limit.
    package var bytes: [UInt8] {
        var writer = GreetingWriter()
        writer.append(self.code.rawValue)
        writer.append(text: self.text)
        return writer.frame(.refusal)
    }

    init(from fields: inout GreetingReader) throws(BridgeError) {
        let number = try fields.number8()
        guard let code = Code(rawValue: number) else {
            throw .field(.refusal, .refusal, value: UInt64(number))
        }
        self.code = code
        self.text = try fields.text()
    }
}

/// Takes the fields of a greeting one after the other.
struct GreetingReader: ~Escapable {
    private let kind: BridgeFrameKind
    private let bytes: RawSpan
    private var position = 0

    @_lifetime(copy bytes)
    init(kind: BridgeFrameKind, _ bytes: RawSpan) {
        self.kind = kind
        self.bytes = bytes
    }

    @_lifetime(self: copy self)
    mutating func number8() throws(BridgeError) -> UInt8 {
        BridgeReader(self.bytes).number8(at: try self.take(1))
    }

    @_lifetime(self: copy self)
    mutating func number16() throws(BridgeError) -> UInt16 {
        BridgeReader(self.bytes).number16(at: try self.take(2))
    }

    @_lifetime(self: copy self)
    mutating func number64() throws(BridgeError) -> UInt64 {
        BridgeReader(self.bytes).number64(at: try self.take(8))
    }

    @_lifetime(self: copy self)
    mutating func name() throws(BridgeError) -> String {
        let count = Int(try self.number8())
        let name = try self.string(count)
        guard !name.isEmpty else { throw .name(self.kind) }
        return name
    }

    @_lifetime(self: copy self)
    mutating func text() throws(BridgeError) -> String {
        let count = Int(try self.number16())
        guard count <= BridgeLimits.refusalTextMaximum else { throw .name(self.kind) }
        return try self.string(count)
    }

    @_lifetime(self: copy self)
    mutating func plugins() throws(BridgeError) -> [Plugin] {
        let count = Int(try self.number8())
        guard count <= BridgeLimits.pluginMaximum else {
            throw .field(self.kind, .plugin, value: UInt64(count))
        }
        var plugins: [Plugin] = []
        for _ in 0..<count {
            let number = try self.number8()
            let level = try self.number8()
            guard let algorithm = Plugin.Algorithm(rawValue: number), (1...22).contains(level)
            else { throw .field(self.kind, .plugin, value: UInt64(number) << 8 | UInt64(level)) }
            plugins.append(Plugin(algorithm: algorithm, level: level))
        }
        return plugins
    }

    /// Verifies that nothing is left.
    func finish() throws(BridgeError) {
        guard self.position == self.bytes.byteCount else { throw self.wrongLength }
    }

    @_lifetime(self: copy self)
    private mutating func string(_ count: Int) throws(BridgeError) -> String {
        let start = try self.take(count)
        let reader = BridgeReader(self.bytes)
        let units = (start..<start + count).map { reader.number8(at: $0) }
        guard !units.contains(where: { $0 < 0x20 || $0 == 0x7F }),
            let string = String(validating: units, as: UTF8.self)
        else { throw .name(self.kind) }
        return string
    }

    @_lifetime(self: copy self)
    private mutating func take(_ count: Int) throws(BridgeError) -> Int {
        guard count <= self.bytes.byteCount - self.position else { throw self.wrongLength }
        defer { self.position += count }
        return self.position
    }

    private var wrongLength: BridgeError {
        .payloadLength(self.kind, byteCount: UInt32(self.bytes.byteCount))
    }
}

/// Appends the fields of a greeting.
private struct GreetingWriter {
    private var payload: [UInt8] = []

    mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { self.payload.append(contentsOf: $0) }
    }

    mutating func append(name: String) {
        invariant(
            !name.isEmpty && name.utf8.count <= BridgeLimits.nameMaximum,
            "a name within its limit"
        )
        self.append(UInt8(name.utf8.count))
        self.payload.append(contentsOf: name.utf8)
    }

    mutating func append(text: String) {
        var kept = text
        while kept.utf8.count > BridgeLimits.refusalTextMaximum { kept.removeLast() }
        self.append(UInt16(kept.utf8.count))
        self.payload.append(contentsOf: kept.utf8)
    }

    mutating func append(_ plugins: [Plugin]) {
        invariant(plugins.count <= BridgeLimits.pluginMaximum, "plugins within their limit")
        self.append(UInt8(plugins.count))
        for plugin in plugins {
            self.append(plugin.algorithm.rawValue)
            self.append(plugin.level)
        }
    }

    func frame(_ kind: BridgeFrameKind) -> [UInt8] {
        var header = BridgeFrameHeader(kind: kind)
        header.payloadByteCount = UInt32(self.payload.count)
        header.payloadChecksum = bridgeChecksum(
            self.payload.span.bytes,
            count: self.payload.count
        )
        var bytes = [UInt8](repeating: 0, count: BridgeLimits.headerByteCount)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return bytes + self.payload
    }
}
