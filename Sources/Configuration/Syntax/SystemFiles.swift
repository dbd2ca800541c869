// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The machine's files; `-` is standard input.
package struct SystemFiles: ConfigurationFiles {
    /// Creates the only value.
    package init() {}

    /// Reads the file at `path`, at most one byte more than a configuration may have.
    package func read(_ path: String) throws(FileFailure) -> [UInt8] {
        let descriptor = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure() }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while bytes.count <= Limits.fileBytes {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure() }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    /// The files that `pattern` matches, sorted by name.
    package func matches(of pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0, let paths = found.gl_pathv else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { index in
            paths[index].map { String(cString: $0) }
        }
    }

    /// `path` from the root, links resolved where the file exists.
    package func absolutePath(of path: String) -> String {
        if path == "-" { return "STDIN" }
        if let resolved = realpath(path, nil) {
            defer { free(resolved) }
            return String(cString: resolved)
        }
        if path.hasPrefix("/") { return path }
        guard let folder = getcwd(nil, 0) else { return path }
        defer { free(folder) }
        return String(cString: folder) + "/" + path
    }

    private static func failure() -> FileFailure {
        FileFailure(reason: String(cString: strerror(errno)))
    }
}

extension NodeIdentity {
    /// This machine: `name` or, without one, the host name; with its own addresses.
    package static func current(name: String? = nil) -> NodeIdentity {
        var buffer = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&buffer, buffer.count - 1) == 0
        let bytes = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        let hostName = isKnown ? String(decoding: bytes, as: UTF8.self) : "localhost"
        return NodeIdentity(name: name ?? hostName, addresses: Self.ownAddresses())
    }

    private static func ownAddresses() -> Set<String> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var addresses: Set<String> = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let address = entry.ifa_addr else { continue }
            let family = Int32(address.pointee.sa_family)
            guard family == AF_INET || family == AF_INET6 else { continue }
            let size =
                family == AF_INET
                ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let status = getnameinfo(
                address,
                socklen_t(size),
                &text,
                socklen_t(text.count),
                nil,
                0,
                NI_NUMERICHOST
            )
            if status == 0 {
                let bytes = text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
                addresses.insert(String(decoding: bytes, as: UTF8.self))
            }
        }
        return addresses
    }
}
