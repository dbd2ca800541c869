// SPDX-License-Identifier: Apache-2.0

/// Where the parser gets its files from; the only way by which it reaches outside.
package protocol ConfigurationFiles {
    /// The content of the file at `path`.
    ///
    /// - Throws: `FileFailure` with the system's reason.
    func read(_ path: String) throws(FileFailure) -> [UInt8]

    /// The files that the shell pattern `pattern` matches, in order.
    func matches(of pattern: String) -> [String]

    /// `path` as seen from the root.
    func absolutePath(of path: String) -> String
}

/// Why a file could not be read.
package struct FileFailure: Error, Hashable, Sendable {
    /// The system's words.
    package var reason: String

    /// Creates a failure.
    package init(reason: String) { self.reason = reason }
}
