// SPDX-License-Identifier: Apache-2.0

// bsrd with disks whose caches a SIGKILL empties: for tests only.
//
//     bsrd-powercut RUN-DIR NODE SEED [SKIPPED-FLUSH]
//
// Ends when its standard input does, so that it cannot outlive the test that has started it. A line
// there names a kind of flush, during which the power is to go.

import Administration
import Engine
import EngineCore
import Foundation
import PowerCutStore
import Reactor

func log(_ text: String) {
    FileHandle.standardError.write(Data("\(Date().timeIntervalSince1970) \(text)\n".utf8))
}

func run(_ arguments: [String]) throws {
    guard arguments.count >= 4, let seed = UInt64(arguments[3]) else {
        log("usage: bsrd-powercut RUN-DIR NODE SEED [SKIPPED-FLUSH]")
        exit(2)
    }
    let folder = arguments[1]
    let skipped = arguments.count > 4 ? DiskFlush(rawValue: arguments[4]) : nil
    if arguments.count > 4, skipped == nil {
        log("\(arguments[4]): one of \(DiskFlush.allCases.map(\.rawValue))")
        exit(2)
    }
    let powerCut = PowerCut()
    let store = PowerCutStore(seed: seed, skipping: skipped, powerCut: powerCut)
    let loop = try EngineLoop(
        EngineConfiguration(
            nodeName: arguments[2],
            nbdAddresses: [.unix("\(folder)/nbd.sock")]
        ),
        log: LoopLog(note: { log($0) }, warn: { log($0) }),
        interposer: store
    )
    // Before there is another thread: the signals are blocked in those that follow.
    try loop.reactor.watchSignals([SIGTERM, SIGINT])
    Thread.detachNewThread {
        while let line = readLine() {
            if let flush = DiskFlush(rawValue: line) { powerCut.schedule(during: flush) }
        }
        _exit(3)
    }
    let service = EngineService(loop.handle)
    loop.onChange = { resource, _ in
        let snapshot = loop.snapshot(resource)
        let states = snapshot.volumes.map { "\($0.snapshot.state)" }
        log("\(snapshot.role) \(snapshot.link) \(states)")
        guard service.events.hasListeners else { return }
        service.events.changed(snapshot)
    }
    let path = EngineControl.socketPath(inRunDirectory: folder)
    let server = try ControlServer<EngineControl>(path: path) { request, stream in
        service.answer(request, stream)
    }
    loop.run()
    loop.onChange = nil
    server.stop()
}

do { try run(CommandLine.arguments) } catch {
    log("\(error)")
    exit(20)
}
