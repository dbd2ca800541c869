// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import Foundation
import TestSupport
import Testing

/// The manual pages against what the programs say and accept.
struct ManualTests {
    /// The options that every page of a program explains outside of its verbs.
    private static func generalOptions(_ program: String) throws -> Set<String> {
        try ToolHelp(program, "--help").options
    }

    @Test func `every program has a page, and pages refer to each other`() throws {
        let names = try ManualPage.names
        #expect(
            names == [
                "bsr-sim.1", "bsr.conf.5", "bsradm.8", "bsrd.8", "bsrmeta.8", "bsrsetup.8",
                "drxctl.8", "drxd.8", "drxsim.1",
            ]
        )
        for name in names {
            let page = try ManualPage(name)
            #expect(page.references.isSubset(of: names), "\(name)")
            #expect(!page.references.isEmpty, "\(name)")
        }
    }

    @Test(.enabled(if: Tool.mandoc.isPresent, "needs mandoc (Debian: mandoc)"))
    func `mandoc finds nothing wrong`() throws {
        let paths = try ManualPage.names.map { ManualPage.folder.appendingPathComponent($0).path }
        let output = try Tool.mandoc.run(["-T", "lint", "-W", "warning"] + paths)
        #expect(output.exitCode == 0, "\(output.everything)")
    }

    @Test(arguments: ["bsrd.8", "drxd.8", "drxctl.8", "bsr-sim.1"])
    func `a page explains the options of its program, and no others`(name: String) throws {
        let program = String(name.split(separator: ".")[0])
        let options = try Self.generalOptions(program)
        #expect(options.count > 3)
        try Self.expect(ManualPage(name), explains: options)
    }

    @Test func `drxctl.8 explains each verb`() throws {
        let verbs = try ToolHelp("drxctl", "--help").values
        #expect(verbs.count > 5)
        try Self.expect(ManualPage("drxctl.8"), hasVerbs: verbs)
    }

    @Test func `bsr-sim.1 names each deliberate fault`() throws {
        let page = try ManualPage("bsr-sim.1")
        let faults = try ToolHelp("bsr-sim", "--help").values
        #expect(faults.count > 5)
        let text = page.items("Fl").map(\.text).joined(separator: " ").split(separator: " ")
        #expect(faults.subtracting(text.map(String.init)).isEmpty)
    }

    @Test func `drxsim.1 explains each verb and option`() throws {
        let page = try ManualPage("drxsim.1")
        let helps = [
            try ToolHelp("drxsim", "--help"), try ToolHelp("drxsim", "help", "link"),
            try ToolHelp("drxsim", "help", "control"),
        ]
        let verbs = helps[0].verbs.union(helps[2].verbs)
        #expect(verbs.isSuperset(of: ["link", "control", "cut", "jitter", "counters"]))
        Self.expect(page, hasVerbs: verbs)
        let options = helps.reduce(into: Set<String>()) { $0.formUnion($1.options) }
        #expect(options.count > 8)
        Self.expect(page, explains: options)
    }

    @Test func `bsrmeta.8 explains each command and option`() throws {
        let page = try ManualPage("bsrmeta.8")
        let help = try ToolHelp("bsrmeta", "--help")
        #expect(help.verbs.count == 16, "\(help.verbs)")
        Self.expect(page, hasVerbs: help.verbs)
        Self.expect(page, explains: help.options.union(["config"]))
    }

    @Test func `bsradm.8 explains each command with its options`() throws {
        let page = try ManualPage("bsradm.8")
        let verbs = Set(Verb.allCases.map(\.rawValue)).union(["dump", "help"])
        let listed = try ToolHelp("bsradm", "--help").verbs
        #expect(listed.union(["help"]) == verbs)
        Self.expect(page, hasVerbs: verbs)
        // An example of the help has --force; --name stands for any option.
        let general = try Self.generalOptions("bsradm").subtracting(["force"]).union(["config"])
        var allowed = general.union(["name"])
        for item in page.items("Ic") {
            guard let verb = item.head.first, verb != "help" else { continue }
            let options = try ToolHelp("bsradm", "help", verb).options.subtracting(["help"])
            allowed.formUnion(options)
            Self.expect(item, explains: options, in: page)
        }
        #expect(page.options.subtracting(allowed).isEmpty)
        #expect(general.subtracting(page.explainedOptions).isEmpty)
    }

    @Test func `bsrsetup.8 explains each verb with its options`() throws {
        let page = try ManualPage("bsrsetup.8")
        let verbs = Set(SetupVerb.allCases.map(\.rawValue)).union(["help"])
        #expect(try ToolHelp("bsrsetup", "--help").verbs.union(["help"]) == verbs)
        Self.expect(page, hasVerbs: verbs)
        let general: Set<String> = ["config-file", "config", "node", "run-dir", "help", "version"]
        #expect(try Self.generalOptions("bsrsetup").isSuperset(of: general.subtracting(["config"])))
        var allowed = general.union(["name"])
        for item in page.items("Ic") {
            guard let verb = item.head.first, verb != "help" else { continue }
            let options = try ToolHelp("bsrsetup", "help", verb).options
            allowed.formUnion(options)
            Self.expect(item, explains: options, in: page)
        }
        #expect(page.options.subtracting(allowed).isEmpty)
        #expect(general.subtracting(page.explainedOptions).isEmpty)
    }

    // MARK: What is compared

    private static func expect(_ page: ManualPage, explains options: Set<String>) {
        #expect(options.subtracting(page.explainedOptions).isEmpty, "missing in \(page.name)")
        #expect(page.options.subtracting(options).isEmpty, "unknown, in \(page.name)")
    }

    private static func expect(_ page: ManualPage, hasVerbs verbs: Set<String>) {
        let explained = page.items("Ic").compactMap(\.head.first)
        #expect(verbs.subtracting(explained).isEmpty, "missing in \(page.name)")
        #expect(page.verbs.subtracting(verbs).isEmpty, "unknown, in \(page.name)")
        #expect(Set(explained).count == explained.count, "twice in \(page.name)")
    }

    /// Options that the configuration has too need not be explained again.
    private static func expect(
        _ item: ManualPage.Item,
        explains options: Set<String>,
        in page: ManualPage
    ) {
        var missing = options.subtracting(item.options)
        if item.text.contains("bsr.conf 5") {
            missing.subtract(OptionTable.entries.map(\.name))
        }
        let verb = item.head.first ?? ""
        #expect(missing.isEmpty, "missing with \(verb) in \(page.name)")
        #expect(item.options.subtracting(options.union(["name"])).isEmpty, "unknown, with \(verb)")
    }
}
