// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation

/// Files in memory, below `/etc`.
struct MemoryFiles: ConfigurationFiles {
    var files: [String: String]

    func read(_ path: String) throws(FileFailure) -> [UInt8] {
        guard let text = self.files[self.absolutePath(of: path)] else {
            throw FileFailure(reason: "No such file or directory")
        }
        return Array(text.utf8)
    }

    /// Understands one `*`.
    func matches(of pattern: String) -> [String] {
        let parts = self.absolutePath(of: pattern).split(
            separator: "*",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        guard parts.count == 2 else { return [] }
        return self.files.keys.filter { $0.hasPrefix(parts[0]) && $0.hasSuffix(parts[1]) }.sorted()
    }

    func absolutePath(of path: String) -> String { path.hasPrefix("/") ? path : "/etc/" + path }
}

/// Parses `text` as `/etc/t.res`.
func parse(_ text: String, with others: [String: String] = [:]) throws -> Configuration {
    let files = MemoryFiles(files: others.merging(["/etc/t.res": text]) { $1 })
    return try Parser.parse("t.res", from: files)
}

/// The text of the refusal of `text`, or nil if it is accepted.
func refusal(of text: String, with others: [String: String] = [:]) -> String? {
    do {
        _ = try parse(text, with: others)
        return nil
    } catch {
        return String(describing: error)
    }
}

/// The normal form of `configuration`, for node alpha.
func dump(_ configuration: Configuration, expanded: Bool = false) throws -> String {
    var dump = Dump(node: NodeIdentity(name: "alpha"))
    dump.writeHead(of: configuration)
    for resource in configuration.resources {
        dump.write(expanded ? try configuration.expanded(resource) : resource)
    }
    return dump.text
}

/// A file of the repository's `Config` folder.
func example(_ name: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appendingPathComponent("Config/\(name)"), encoding: .utf8)
}

/// Two hosts and a volume, with `body` besides.
func twoNodes(_ body: String, name: String = "r") -> String {
    """
    resource \(name) { device minor 1; disk /dev/a;
    on alpha { node-id 0; address 10.0.0.1:7789; }
    on beta { node-id 1; address 10.0.0.2:7789; }
    \(body)
    }
    """
}
