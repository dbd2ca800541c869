// SPDX-License-Identifier: Apache-2.0
import Configuration
import Testing

struct CommandTests {
    private func lines(
        _ verb: Verb,
        _ words: [String],
        _ options: [BackendOption] = [],
        node: String = "alpha"
    ) throws -> [String] {
        let configuration = try parse(try example("drbd-compatible.res"))
        let finder = TargetFinder(configuration, on: NodeIdentity(name: node))
        return try finder.targets(words, for: verb).flatMap { target in
            try CommandPlan.commands(verb, target, options).map(\.line)
        }
    }

    private func refusal(_ verb: Verb, _ words: [String]) throws -> UsageError? {
        do {
            _ = try self.lines(verb, words)
            return nil
        } catch let error as UsageError {
            return error
        }
    }

    @Test
    func `names a part of a resource in every form`() throws {
        #expect(try self.lines(.verify, ["mesh:gamma/1"]) == ["bsrsetup verify mesh 4 1"])
        #expect(try self.lines(.verify, ["mesh/1"]).count == 2)
        #expect(try self.lines(.verify, ["mesh:beta"]).count == 2)
        #expect(try self.lines(.verify, ["minor-11"]) == self.lines(.verify, ["mesh/1"]))
        #expect(
            try self.lines(.connect, ["mesh:beta", "mesh:beta"]) == ["bsrsetup connect mesh 1"]
        )
        #expect(try self.lines(.down, ["all"]).count == 6)
    }

    @Test
    func `a service leaves out resources that it is not to bring up, or to take down`() throws {
        func resource(_ name: String, _ minor: Int, _ option: String) -> String {
            twoNodes("", name: name)
                .replacing("minor 1", with: "minor \(minor)")
                .replacing("/dev/a", with: "/dev/\(name)")
                .replacing("7789", with: "\(7788 + minor)")
                .replacing("node-id 0;", with: "node-id 0; options { \(option) }")
        }
        let finder = TargetFinder(
            try parse(
                resource("a", 1, "svc-auto-up no;") + resource("b", 2, "svc-auto-down no;")
                    + resource("c", 3, "svc-auto-up yes;")
                    + twoNodes("", name: "d")
                    .replacing("minor 1", with: "minor 4").replacing("/dev/a", with: "/dev/d")
                    .replacing("7789", with: "7792")
            ),
            on: NodeIdentity(name: "alpha")
        )
        func names(_ verb: Verb) throws -> [String] {
            TargetFinder.forService(try finder.targets(["all"], for: verb), verb)
                .map(\.view.resource.name)
        }
        #expect(try names(.up) == ["b", "c", "d"])
        #expect(try names(.down) == ["a", "c", "d"])
    }

    @Test(arguments: [
        (Verb.primary, "nope", "'nope' not defined in your config (for this host)."),
        (.primary, "mesh/0", "primary operates on whole resources, but you specified a specific"),
        (.connect, "mesh/0", "connect operates on whole resources, but you specified a specific"),
        (.attach, "mesh:beta", "attach operates on whole resources, but you specified a specific"),
        (.connect, "mesh:nope", "Not a valid connection (mesh:nope) for this host"),
        (.attach, "mesh/9", "Resource 'mesh' has no volume 9"),
        (.attach, "minor-99", "no device with minor number 99"),
        (.newCurrentUUID, "mesh", "new-current-uuid requires a specific volume id"),
    ])
    func `refuses targets that do not fit`(verb: Verb, word: String, expected: String) throws {
        let error = try self.refusal(verb, [word])
        #expect(error?.message.hasPrefix(expected) == true)
        #expect(error?.exitCode == 1)
    }

    @Test
    func `names the host that a resource has no section for`() throws {
        #expect(throws: UsageError.self) { try self.lines(.up, ["mesh"], node: "zz") }
        do {
            _ = try self.lines(.up, ["mesh"], node: "zz")
        } catch let error as UsageError {
            #expect(
                error.message == "'mesh' not defined in your config (for this host). "
                    + "It has no section for 'zz'."
            )
        }
    }

    @Test
    func `a volume without a disk is passed over, or refused when named`() throws {
        #expect(try self.lines(.attach, ["mesh"], node: "gamma").count == 2)
        #expect(throws: UsageError.self) {
            try self.lines(.attach, ["mesh/1"], node: "gamma")
        }
    }

    @Test
    func `options of the command line replace configured ones`() throws {
        let lines = try self.lines(
            .netOptions,
            ["small"],
            [BackendOption("ping-int", "5"), BackendOption("tcp-cork", "no")]
        )
        #expect(
            lines == [
                "bsrsetup net-options small 1 --_name=beta --protocol=C --verify-alg=sha256 "
                    + "--ping-int=5 --tcp-cork=no"
            ]
        )
    }

    @Test("TOOL-20 create-md counts the peers that have a disk")
    func createMetaData() throws {
        #expect(
            try self.lines(.createMetaData, ["small"], [BackendOption("force")])
                == ["bsrmeta 1 v09 /dev/vg0/small internal create-md 1 --force"]
        )
        #expect(
            try self.lines(.createMetaData, ["mesh/1"])
                == ["bsrmeta 11 v09 /dev/vg0/metadata 2 create-md 2"]
        )
        #expect(
            try self.lines(.createMetaData, ["small"], [BackendOption("max-peers", "7")])
                == ["bsrmeta 1 v09 /dev/vg0/small internal create-md 7"]
        )
    }

    @Test
    func `escapes every byte that a shell might understand`() {
        #expect(BackendCommand.escaped("abc%+-./:=@_9") == "abc%+-./:=@_9")
        #expect(BackendCommand.escaped("a b[\"$\n") == "a\\ b\\[\\\"\\$\\\n")
    }

    @Test
    func `commands that depend on the one before say so`() throws {
        let configuration = try parse(try example("drbd-compatible.res"))
        let finder = TargetFinder(configuration, on: NodeIdentity(name: "alpha"))
        let target = try #require(try finder.targets(["small"], for: .attach).first)
        let conditions = { (verb: Verb) in
            try CommandPlan.commands(verb, target, []).map(\.condition)
        }
        #expect(try conditions(.attach) == [.always, .afterSuccess])
        #expect(try conditions(.resize) == [.always, .afterSuccess])
        #expect(try conditions(.outdate) == [.always, .insteadOfFailure])
        #expect(try conditions(.getGeneration) == [.always, .insteadOfFailure])
    }
}

struct InvocationTests {
    private func invoke(_ line: String, _ environment: [String: String] = [:]) throws
        -> Invocation
    {
        try Invocation(line.split(separator: " ").map(String.init), environment: environment)
    }

    @Test
    func `backend options stand behind the verb or behind two dashes`() throws {
        let lines = [
            "create-md --force --max-peers=5 r0", "create-md r0 --force --max-peers 5",
            "create-md r0 -- --force --max-peers 5", "-- --force --max-peers=5 create-md r0",
            "-- --force --max-peers 5 create-md r0", "-W--force --max-peers=5 create-md r0",
        ]
        for line in lines {
            let invocation = try self.invoke(line)
            #expect(invocation.request == .verb(.createMetaData), "\(line)")
            #expect(invocation.targets == ["r0"], "\(line)")
            #expect(
                invocation.options == [BackendOption("force"), BackendOption("max-peers", "5")],
                "\(line)"
            )
        }
    }

    @Test
    func `general options stand anywhere in front of two dashes`() throws {
        let line = "-d --config f --node=n primary -v --run-dir /r r0"
        let invocation = try self.invoke(line, ["BSR_NODE": "other"])
        #expect(invocation.isDryRun && invocation.isVerbose)
        #expect(invocation.configurationFile == "f")
        #expect(invocation.node == "n")
        #expect(invocation.runDirectory == "/r")
        #expect(try self.invoke("-cf dump").configurationFile == "f")
        #expect(try self.invoke("-c - dump").configurationFile == "-")
    }

    @Test
    func `the environment comes before the defaults`() throws {
        let environment = ["BSR_CONFIG": "c", "BSR_NODE": "n", "BSR_RUN_DIR": "r"]
        let invocation = try self.invoke("sh-nop", environment)
        #expect(invocation.configurationFile == "c")
        #expect(invocation.node == "n")
        #expect(invocation.runDirectory == "r")
        let plain = try self.invoke("sh-nop")
        #expect(plain.configurationFile == "/etc/bsr.conf")
        #expect(plain.node == nil)
        #expect(plain.runDirectory == "/run/bsr")
        #expect(!plain.isByService)
        #expect(try self.invoke("--service down all").isByService)
    }

    @Test("TOOL-31 status passes --verbose to the engine")
    func statusVerbose() throws {
        let invocation = try self.invoke("status --verbose --statistics r0")
        #expect(invocation.options.map(\.word) == ["--verbose", "--statistics"])
        #expect(!invocation.isVerbose)
    }

    @Test(arguments: [
        ("", "a command is missing"), ("frob r0", "Unknown command 'frob'"),
        ("primary --frob r0", "unrecognized option '--frob' of primary"),
        ("down --force r0", "unrecognized option '--force' of down"),
        ("verify-stop r0", "'verify-stop' is not supported yet"),
        ("primary --skip-check-fs r0", "option '--skip-check-fs' of primary is not supported yet"),
        ("-- --full-sync-on-fail primary r0", "option '--full-sync-on-fail' of primary is not"),
        ("invalidate-remote --use-current-oos r0", "option '--use-current-oos' of "),
        ("new-current-uuid --no-rotate-bitmap r0", "option '--no-rotate-bitmap' of "),
        ("--service adjust all", "--service goes with up and down, not with adjust"),
        ("-x up", "unrecognized option '-x'"), ("up -c", "option '-c' needs a value"),
        ("create-md r0 --max-peers", "option '--max-peers' needs a value"),
        ("primary r0 -- -f", "'-f' is no option for the backend"),
        ("-W force primary r0", "'force' is no option for the backend"),
    ])
    func `refuses what it does not know`(line: String, expected: String) {
        let error = #expect(throws: UsageError.self) { try self.invoke(line) }
        #expect(error?.message.hasPrefix(expected) == true, "\(error?.message ?? "")")
        #expect(error?.exitCode == 1)
    }

    @Test
    func `help and version need no configuration`() throws {
        #expect(try self.invoke("--help").request == .help(verb: nil))
        #expect(try self.invoke("help up").request == .help(verb: "up"))
        #expect(try self.invoke("up --help").request == .help(verb: "up"))
        #expect(try self.invoke("-V").request == .version)
    }
}
