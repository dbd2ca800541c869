// SPDX-License-Identifier: Apache-2.0

import Wire

/// What a tool prints on standard error after a command, and its exit code.
///
/// Source: `reference/drbd-metadata.md` §9.4.
package struct CommandOutcome: Sendable, Hashable {
    /// Lines for standard error.
    package var messages: [String]
    /// The exit code.
    package var exitCode: Int32

    /// The outcome of a command about `object` that the daemon ended with `code` and `texts`.
    package init(_ code: ControlCode, _ texts: [String], about object: String) {
        switch code {
        case .success:
            self.messages = texts
            self.exitCode = 0
        case .refused, .failed:
            self.messages = texts.map { "\(object): \($0)" }
            self.exitCode = code.rawValue
        case _ where code.rawValue < 0:
            let number = code.rawValue
            let text = StateChangeCode(rawValue: number).map { "\($0.text)" }
            self.messages = ["\(object): State change failed: (\(number)) \(text ?? "unknown")"]
            self.messages += Self.additional(texts)
            self.exitCode = Self.exitCode(ofStateChange: number)
        default:
            let number = code.rawValue
            let text = FailureCode(rawValue: number)?.text
            self.messages = ["\(object): Failure: (\(number)) \(text ?? "unknown")"]
            self.messages += Self.additional(texts)
            self.exitCode = 10
        }
    }

    private static func additional(_ texts: [String]) -> [String] {
        texts.isEmpty ? [] : ["additional info from bsrd:"] + texts
    }

    private static func exitCode(ofStateChange number: Int32) -> Int32 {
        switch StateChangeCode(rawValue: number) {
        case .noLocalDisk: 16
        case .noUpToDateDisk: 17
        case .lowerThanOutdated: 5
        case .clusterWideNotNeeded, .clusterWideSuccess, .nothingToDo, .success, .unknownError,
            .twoPrimaries, .noRemoteDisk, .connectedOutdates, .primaryNeedsFencing,
            .resyncRunning, .alreadyStandAlone, .failedByPeer, .isDiskless, .deviceInUse,
            .noNetConfiguration, .noVerifyAlgorithm, .needConnection, .notSupported,
            .inTransientState, .concurrentStateChange, .otherVolumePrimaryAtPeer,
            .outdateWithoutConnection, .primaryReader, .timeout, .weaklyConnected, .noQuorum,
            .attachWithoutBitmap, .handshakeDisconnect, .handshakeRetry, nil:
            11
        }
    }
}
