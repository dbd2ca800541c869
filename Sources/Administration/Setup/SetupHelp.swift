// SPDX-License-Identifier: Apache-2.0

/// The help of `bsrsetup`.
package enum SetupHelp {
    /// The general help, or that of one verb.
    package static func text(_ verb: SetupVerb?) -> String {
        guard let verb else { return Self.overview }
        return "bsrsetup \(verb.rawValue) - \(verb.summary)\n\nUSAGE: \(verb.usage)"
    }

    private static var overview: String {
        let width = SetupVerb.allCases.map(\.rawValue.count).max() ?? 0
        let verbs = SetupVerb.allCases.map { verb in
            let padding = String(repeating: " ", count: width - verb.rawValue.count)
            return "    \(verb.rawValue)\(padding)  \(verb.summary)"
        }
        return """
            bsrsetup - Control the replication engine of this node, step by step.

            Examples:
                bsrsetup status --verbose --statistics
                bsrsetup events2 --now r0
                bsrsetup new-resource r0 0

            USAGE: bsrsetup [GLOBAL OPTIONS] VERB {ARGUMENTS} [OPTIONS]

            Global options, before the verb:
                -c, --config-file FILE  accepted and not used
                --node NAME             accepted and not used
                --run-dir DIR           where the daemons' sockets are [BSR_RUN_DIR, /run/bsr]
                -h, --help              this text
                -V, --version           the version

            Verbs:
            \(verbs.joined(separator: "\n"))

            Exit codes: 0 done; 5, 11, 16, 17 state change refused; 10 configuration refused;
            20 usage or no answer from bsrd. 'bsrsetup help VERB' tells more about a verb.
            """
    }
}
