// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The files of this project, as they are in the working folder.
enum Project {
    /// The folder that holds `Package.swift`.
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every text file, in order of the paths; what is built or recorded is left out.
    static let files: [TextFile] = {
        let root = Project.root.path(percentEncoded: false)
        let paths = FileManager.default.enumerator(atPath: root)
        var files: [TextFile] = []
        while let path = paths?.nextObject() as? String {
            let name = path.split(separator: "/").last ?? ""
            if Project.isLeftOut(path, name) {
                paths?.skipDescendants()
            } else if let text = try? String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) {
                files.append(TextFile(path: path, text: text))
            }
        }
        return files.sorted { $0.path < $1.path }
    }()

    /// The Swift files below `folder`, lexed.
    static func swift(below folder: String) -> [SwiftFile] {
        Project.swift.filter { $0.path.hasPrefix("\(folder)/") }
    }

    private static let swift = Project.files.filter { $0.path.hasSuffix(".swift") }
        .map(SwiftFile.init)

    /// The text of the file at `path`, which must exist.
    static func file(_ path: String) throws -> TextFile {
        guard let file = Project.files.first(where: { $0.path == path }) else {
            throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: path])
        }
        return file
    }

    /// Hidden names except `.ci` and the formatter's settings, build products and binaries.
    private static func isLeftOut(_ path: String, _ name: Substring) -> Bool {
        if name.hasPrefix(".") { return ![".ci", ".swift-format", ".gitignore"].contains(path) }
        return ["playground", "Package.resolved"].contains(path)
            || name == "__pycache__" || name.hasSuffix(".zst") || name.hasSuffix(".swp")
    }
}

/// A file of the project.
struct TextFile: Sendable {
    /// Relative to the project's folder.
    let path: String
    let text: String

    /// The lines without their ends.
    var lines: [Substring] { self.text.split(separator: "\n", omittingEmptySubsequences: false) }

    var isMarkdown: Bool { self.path.hasSuffix(".md") }
}

/// A place that breaks a rule.
struct Finding: CustomStringConvertible, Comparable {
    let path: String
    /// Counted from 1; 0 if the whole file is meant.
    let line: Int
    let message: String

    var description: String {
        self.line == 0
            ? "\(self.path): \(self.message)" : "\(self.path):\(self.line): \(self.message)"
    }

    static func < (left: Finding, right: Finding) -> Bool {
        (left.path, left.line) < (right.path, right.line)
    }
}

extension [Finding] {
    /// One finding on each line, at most fifty.
    var report: String {
        let shown = self.sorted().prefix(50).map(\.description).joined(separator: "\n")
        return self.count > 50 ? "\(shown)\n… and \(self.count - 50) more" : shown
    }
}
