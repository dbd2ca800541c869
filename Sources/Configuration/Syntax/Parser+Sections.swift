// SPDX-License-Identifier: Apache-2.0

/// Which option sections of a body were seen, to refuse a second one.
struct SeenSections {
    var positions: [String: SourcePosition] = [:]
}

extension Parser {
    // MARK: global, common

    mutating func parseGlobal() throws(Diagnostic) {
        let start = self.position
        self.advance()
        if let first = self.configuration.global.position {
            throw Self.conflict(start, "global section 'global'", first)
        }
        self.configuration.global.position = start
        try self.expect("{")
        while !self.accept(mark: "}") {
            try self.parseGlobalStatement()
        }
    }

    private mutating func parseGlobalStatement() throws(Diagnostic) {
        let keyword = self.token
        guard keyword.kind == .word else { throw self.expected(Self.globalKeywords) }
        switch keyword.text {
        case "disable-ip-verification":
            self.advance()
            self.configuration.global.disablesAddressVerification = true
        case "udev-always-use-vnr":
            self.advance()
            self.configuration.global.alwaysUsesVolumeNumbers = true
        case "minor-count":
            self.advance()
            self.configuration.global.minorCount = try self.integer("minor-count", in: 1...255)
        case "dialog-refresh":
            self.advance()
            let seconds = try self.integer("dialog-refresh", in: 0...600)
            self.configuration.global.dialogRefreshSeconds = seconds
        case "cmd-timeout-short", "cmd-timeout-medium", "cmd-timeout-long":
            self.advance()
            let seconds = try self.integer(keyword.text, in: 0...900)
            self.configuration.global.commandTimeoutSeconds[keyword.text] = seconds
        case "usage-count":
            self.advance()
            guard ["yes", "no", "ask"].contains(self.token.text), self.token.kind == .word else {
                throw self.expected("yes | no | ask")
            }
            self.configuration.global.usageCount = self.advance().text
        case "hostname":
            self.advance()
            self.configuration.global.hostName = try self.name("a host name")
        default: throw self.expected(Self.globalKeywords)
        }
        try self.expect(";")
    }

    private static var globalKeywords: String {
        "dialog-refresh | minor-count | disable-ip-verification | usage-count | "
            + "udev-always-use-vnr | cmd-timeout-short | cmd-timeout-medium | cmd-timeout-long | "
            + "hostname"
    }

    /// Parses `common { … }`; the keyword is the current token.
    mutating func parseCommon() throws(Diagnostic) -> Sections {
        self.advance()
        try self.expect("{")
        var sections = Sections()
        var seen = SeenSections()
        while !self.accept(mark: "}") {
            if self.token.isWord("skip") {
                try self.parseSkip()
            } else if try !self.parseSection(into: &sections, &seen, of: "common") {
                throw self.expected("options | net | disk | startup | handlers | proxy | skip | }")
            }
        }
        return sections
    }

    /// Parses one option section or `protocol`, if the current token begins one.
    ///
    /// `disk` must already be known to be followed by a brace.
    mutating func parseSection(
        into sections: inout Sections,
        _ seen: inout SeenSections,
        of owner: String
    ) throws(Diagnostic) -> Bool {
        let keyword = self.token
        guard keyword.kind == .word else { return false }
        switch keyword.text {
        case "options", "net", "startup", "handlers", "proxy", "disk":
            try self.claim(keyword.text, &seen, of: owner)
        case "protocol", "syncer": break
        default: return false
        }
        switch keyword.text {
        case "options": sections.options = try self.parseOptions([.resource])
        case "net": try self.parseOptions([.net], into: &sections.net)
        case "handlers": sections.handlers = try self.parseOptions([.handlers])
        case "startup": try self.parseStartup(into: &sections)
        case "proxy": sections.proxy = try self.parseProxyOptions()
        case "disk":
            self.distribute(try self.parseOptions([.disk, .peerDevice]), into: &sections)
        case "syncer": try self.parseSyncer(into: &sections)
        default: try self.parseProtocol(into: &sections.net)
        }
        return true
    }

    private mutating func claim(_ section: String, _ seen: inout SeenSections, of owner: String)
        throws(Diagnostic)
    {
        let start = self.position
        self.advance()
        if let first = seen.positions.updateValue(start, forKey: section) {
            throw Self.conflict(start, "\(section) section '\(owner):\(section)'", first)
        }
    }

    private mutating func parseProtocol(into net: inout OptionList) throws(Diagnostic) {
        let name = self.advance()
        try self.parseOption(name, in: [.net], into: &net)
    }

    private func distribute(_ list: OptionList, into sections: inout Sections) {
        for setting in list.settings {
            if OptionTable.find(setting.name, in: .disk) != nil {
                sections.disk.settings.append(setting)
            } else {
                sections.peerDevice.settings.append(setting)
            }
        }
    }

    private mutating func parseSyncer(into sections: inout Sections) throws(Diagnostic) {
        self.advance()
        try self.expect("{")
        while !self.accept(mark: "}") {
            var name = self.token
            if name.isWord("after") { name.text = "resync-after" }
            guard name.kind == .word else { throw self.expected("a syncer option keyword") }
            if OptionTable.find(name.text, in: .disk) != nil {
                self.advance()
                try self.parseOption(name, in: [.disk], into: &sections.disk)
            } else if OptionTable.find(name.text, in: .net) != nil {
                self.advance()
                try self.parseOption(name, in: [.net], into: &sections.net)
            } else {
                throw self.expected("a syncer option keyword")
            }
        }
    }

    private mutating func parseStartup(into sections: inout Sections) throws(Diagnostic) {
        try self.expect("{")
        while !self.accept(mark: "}") {
            if self.accept("stacked-timeouts") {
                sections.hasStackedTimeouts = true
                try self.expect(";")
            } else if self.accept("become-primary-on") {
                while self.token.isValue { self.advance() }
                try self.expect(";")
            } else {
                try self.parseNamedOption(in: [.startup], into: &sections.startup)
            }
        }
    }

    // MARK: Options

    /// Parses `{ NAME VALUE; … }` with the options of `sections`.
    mutating func parseOptions(_ sections: [OptionSection]) throws(Diagnostic) -> OptionList {
        var list = OptionList()
        try self.parseOptions(sections, into: &list)
        return list
    }

    /// The same, added to `list`.
    mutating func parseOptions(_ sections: [OptionSection], into list: inout OptionList)
        throws(Diagnostic)
    {
        try self.expect("{")
        while !self.accept(mark: "}") {
            try self.parseNamedOption(in: sections, into: &list)
        }
    }

    /// Parses the options and the `plugin {}` of a relay.
    mutating func parseProxyOptions() throws(Diagnostic) -> ProxySection {
        var proxy = ProxySection()
        try self.expect("{")
        while !self.accept(mark: "}") {
            if self.accept("plugin") {
                try self.parsePlugins(into: &proxy)
            } else {
                try self.parseNamedOption(in: [.proxy], into: &proxy.options)
            }
        }
        return proxy
    }

    private mutating func parsePlugins(into proxy: inout ProxySection) throws(Diagnostic) {
        try self.expect("{")
        while !self.accept(mark: "}") {
            let start = self.position
            var words: [String] = []
            while self.token.isValue && words.count < Limits.words {
                words.append(self.advance().text)
            }
            if words.isEmpty { throw self.expected("the words of a plugin") }
            try self.expect(";")
            if proxy.plugins.count == Limits.plugins {
                throw Diagnostic(start, "more than \(Limits.plugins) plugin lines")
            }
            let index = proxy.plugins.count
            proxy.plugins.append(.init(words: words, position: start, index: index))
        }
    }

    private mutating func parseNamedOption(
        in sections: [OptionSection],
        into list: inout OptionList
    ) throws(Diagnostic) {
        guard self.token.kind == .word else { throw self.expected("an option keyword") }
        let name = self.token
        guard self.entry(name.text, in: sections) != nil else {
            let names = sections.flatMap { OptionTable.all(in: $0) }.map(\.name)
            throw self.expected(names.filter { !$0.hasPrefix("_") }.joined(separator: " | "))
        }
        self.advance()
        try self.parseOption(name, in: sections, into: &list)
    }

    /// The table's entry for `name` or, if that is a switch, for `no-name`.
    private func entry(_ name: String, in sections: [OptionSection])
        -> (entry: OptionDescription, isNegated: Bool)?
    {
        for section in sections {
            if let entry = OptionTable.find(name, in: section) { return (entry, false) }
            guard name.hasPrefix("no-"),
                let entry = OptionTable.find(String(name.dropFirst(3)), in: section),
                case .boolean = entry.type
            else { continue }
            return (entry, true)
        }
        return nil
    }

    /// Parses the rest of an option whose name was taken.
    private mutating func parseOption(
        _ name: Token,
        in sections: [OptionSection],
        into list: inout OptionList
    ) throws(Diagnostic) {
        let start = SourcePosition(file: self.position.file, line: name.line)
        guard let found = self.entry(name.text, in: sections) else {
            throw self.expected("an option keyword")
        }
        var value = found.isNegated ? "no" : "yes"
        if case .socketAddress = found.entry.type,
            self.token.kind == .address || self.token.isMark("[")
        {
            value = try self.parseAddress().endpoint
        } else if !found.isNegated, !self.token.isMark(";") {
            guard self.token.isValue else { throw self.expected("a value for \(name.text)") }
            let isUnquotedEmpty = self.token.text.isEmpty && self.token.kind != .quoted
            if isUnquotedEmpty { throw self.expected("a value for \(name.text)") }
            value = self.advance().text
        }
        try self.expect(";")
        do throws(OptionError) {
            _ = try found.entry.value(of: value)
        } catch {
            try self.collect(Diagnostic(start, "Parse error: \(error)"))
        }
        if let first = list.settings.first(where: { $0.name == found.entry.name }) {
            let what = "option '\(found.entry.name)'"
            throw Self.conflict(start, what, first.position)
        }
        list.settings.append(OptionSetting(found.entry.name, value, at: start))
    }

    private mutating func collect(_ fault: Diagnostic) throws(Diagnostic) {
        if self.diagnostics.count == Limits.diagnostics { throw fault }
        self.diagnostics.append(fault)
    }
}
