// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct AllocationTests {
    #if DEBUG
    static let isRelease = false
    #else
    static let isRelease = true
    #endif

    /// The folder of the built programs, which is that of the test bundle too.
    private static var programs: URL {
        URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
    }

    @Test(
        .enabled(if: isRelease, "debug builds allocate in generic code"),
        arguments: [IOMode.auto, .buffered]
    )
    func `a warm data path neither allocates nor retains`(_ mode: IOMode) throws {
        let folder = try TemporaryFolder()
        let process = Process()
        process.executableURL = Self.programs.appendingPathComponent("reactor-allocations")
        process.arguments = [folder.path, mode.rawValue]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let lines = String(decoding: output, as: UTF8.self).split(separator: "\n")
        #expect(lines == ["requests 20000", "allocations 0", "retains 0"])
        #expect(process.terminationStatus == 0)
    }
}
