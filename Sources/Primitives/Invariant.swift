// SPDX-License-Identifier: Apache-2.0

/// Stops the process when a programmer error has broken an invariant.
///
/// Stays on in release builds and prints its message, which `precondition` does not. Never used for
/// what comes from a file, a socket, a disk or a command line.
@inlinable
public func invariant(
    _ condition: Bool,
    _ message: StaticString,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition { invariantBroken(message, file: file, line: line) }
}

/// Prints the broken invariant and traps.
@inline(never)
public func invariantBroken(
    _ message: StaticString,
    file: StaticString = #fileID,
    line: UInt = #line
) -> Never {
    fatalError("invariant broken: \(message)", file: file, line: line)
}
