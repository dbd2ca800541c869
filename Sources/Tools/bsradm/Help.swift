// SPDX-License-Identifier: Apache-2.0
import Configuration
import Primitives

/// The texts of `--help` and `--version`.
enum Help {
    static let version = Release.line("bsradm")

    /// General help, or what `verb` takes.
    static func text(about word: String?) throws(UsageError) -> String {
        guard let word else { return Self.general }
        if word == "dump" { return Self.dump }
        guard !Verb.unsupported.contains(word) else {
            throw UsageError("'\(word)' is not supported yet")
        }
        guard let verb = Verb(rawValue: word) else {
            throw UsageError("Unknown command '\(word)'; try 'bsradm --help'")
        }
        var target = "{all|RES...}"
        switch verb.scope {
        case .configuration: target = ""
        case .resource, .volumes, .peers, .peerDevices:
            if verb.takesPeer { target = target.replacing("RES", with: "RES[:PEER]") }
            if verb.takesVolume { target = target.replacing("...}", with: "[/VOL]...}") }
        }
        var text = "USAGE: bsradm [GENERAL OPTION...] \(verb.rawValue) [OPTION...] \(target)\n"
        text += "\n\(Self.summaries[verb] ?? "")\n"
        if !verb.optionNames.isEmpty {
            text += "\nOPTIONS FOR \(verb.rawValue):\n"
            text += verb.optionNames.map { name in
                verb.takesValue(for: name) == true ? "  --\(name)=VALUE" : "  --\(name)"
            }.joined(separator: "\n")
            text += "\n"
        }
        return text + "\nGeneral options: bsradm --help"
    }

    private static let dump = """
        USAGE: bsradm [GENERAL OPTION...] dump [-v] [all|RES...]

        Prints the configuration in normal form; with -v everything that is inherited or implied.
        """

    private static var general: String {
        let groups: [(String, [Verb])] = [
            ("Resources", [.up, .down, .adjust, .primary, .secondary, .status, .role]),
            ("Links", [.connect, .disconnect, .connectionState, .waitConnect, .waitSync]),
            (
                "Disks",
                [
                    .attach, .detach, .outdate, .invalidate, .invalidateRemote, .resize,
                    .diskState, .pauseSync, .resumeSync, .verify, .newCurrentUUID,
                ]
            ),
            (
                "Metadata",
                [
                    .createMetaData, .dumpMetaData, .wipeMetaData, .applyActivityLog,
                    .getGeneration, .showGeneration, .forgetPeer,
                ]
            ),
            (
                "Single steps",
                [
                    .newResource, .newMinor, .deleteMinor, .newPeer, .deletePeer, .newPath,
                    .deletePath, .resourceOptions, .diskOptions, .netOptions, .peerDeviceOptions,
                    .checkResize, .suspendIO, .resumeIO,
                ]
            ),
            (
                "For scripts",
                [
                    .shellNothing, .shellResources, .shellResource, .shellDevice, .shellMinor,
                    .shellDisk, .shellMetaDisk, .shellMetaDiskIndex, .shellAddress,
                    .shellModuleParameters,
                ]
            ),
        ]
        var text = Self.head
        for (title, verbs) in groups {
            text += "\n\(title):\n"
            for verb in verbs {
                let padding = String(repeating: " ", count: max(1, 22 - verb.rawValue.count))
                text += "  \(verb.rawValue)\(padding)\(Self.summaries[verb] ?? "")\n"
            }
        }
        return text + "\n'bsradm help COMMAND' shows a command's options."
    }

    private static let head = """
        USAGE: bsradm [GENERAL OPTION...] COMMAND [OPTION...] TARGET... [-- BACKEND OPTION...]

        Administers replicated resources from their resource files.

        TARGET: all, RES, RES/VOLUME, RES:PEER, RES:PEER/VOLUME or minor-N.

        EXAMPLES:
          bsradm create-md r0 && bsradm up r0      make metadata and start
          bsradm primary --force r0                first promotion of a new resource
          bsradm -d adjust all                     show what adjust would do
          qemu-img convert disk.img "$(bsradm sh-dev r0)"

        GENERAL OPTIONS:
          -c, --config-file FILE   resource file, - for standard input  [BSR_CONFIG, /etc/bsr.conf]
              --node NAME          name of this node                    [BSR_NODE, host name]
              --run-dir DIR        where the engine's sockets are       [BSR_RUN_DIR, /run/bsr]
          -d, --dry-run            print the backend commands, change nothing
          -v, --verbose            print the backend commands and run them
              --service            up, down: as svc-auto-up and svc-auto-down say
          -s, --bsrsetup PATH      engine tool instead of the one beside bsradm
          -m, --bsrmeta PATH       metadata tool instead of the one beside bsradm
          -W, --setup-option OPT   pass OPT to the backend
          -h, --help               this text
          -V, --version            the version

        EXIT CODES:
          0 done, 1 usage, 10 refused or configuration invalid, 11 state change failed,
          20 internal, or whatever else the backend returned

          dump                  print the configuration in normal form

        """

    private static let summaries: [Verb: String] = [
        .up: "start, or adjust what already runs; the role is Secondary",
        .down: "stop and remove from the engine",
        .adjust: "make the engine do what the file says, with the least change",
        .primary: "allow reading and writing here",
        .secondary: "give up the Primary role",
        .connect: "connect to the peers",
        .disconnect: "disconnect from the peers",
        .attach: "attach the backing disk",
        .detach: "detach the backing disk",
        .outdate: "mark the own data outdated",
        .invalidate: "replace the own data by a peer's",
        .invalidateRemote: "replace a peer's data by the own",
        .verify: "compare with the peers while in use",
        .pauseSync: "pause resync",
        .resumeSync: "go on with resync",
        .resize: "use the backing disk's new size",
        .checkResize: "note the backing disk's size",
        .createMetaData: "write new metadata",
        .dumpMetaData: "print the metadata",
        .wipeMetaData: "remove the metadata",
        .applyActivityLog: "mark what the activity log covers as out of sync",
        .getGeneration: "print the data generations",
        .showGeneration: "explain the data generations",
        .status: "print state",
        .role: "print the roles",
        .connectionState: "print the connection states",
        .diskState: "print the disk states",
        .waitConnect: "wait until connected",
        .waitSync: "wait until in sync",
        .newResource: "create the resource in the engine",
        .newMinor: "create volumes",
        .deleteMinor: "remove volumes",
        .newPeer: "create connections",
        .deletePeer: "remove connections",
        .newPath: "add paths",
        .deletePath: "remove paths",
        .resourceOptions: "change resource options",
        .diskOptions: "set the disk options of the file",
        .netOptions: "set the net options of the file",
        .peerDeviceOptions: "set the peer-device options of the file",
        .forgetPeer: "free a removed peer's slot in the metadata",
        .newCurrentUUID: "begin a new data generation",
        .suspendIO: "hold all requests",
        .resumeIO: "release held requests",
        .shellNothing: "check the configuration",
        .shellResources: "names of this node's resources",
        .shellResource: "name of the resource",
        .shellDevice: "NBD URI of each volume",
        .shellMinor: "minor number of each volume",
        .shellDisk: "backing disk of each volume",
        .shellMetaDisk: "metadata device of each volume",
        .shellMetaDiskIndex: "place of the metadata of each volume",
        .shellAddress: "own address of each path",
        .shellModuleParameters: "the minor count",
    ]
}
