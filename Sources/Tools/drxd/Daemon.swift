// SPDX-License-Identifier: Apache-2.0

import Administration
import DRX
import Foundation
import Logging
import Reactor
import ToolSupport

/// The parts of a running relay: the loop on the main thread, the control socket on its own.
struct Daemon {
    let nodeName: String
    let runDirectory: String
    let logger: Logger

    func run() throws {
        let logger = self.logger
        let log = LoopLog(
            note: { logger.info("\($0)") },
            warn: { logger.warning("\($0)") }
        )
        let claim = try RunDirectory.claim(self.runDirectory, for: RelayControl.self)
        let loop = try RelayLoop(log: log)
        try loop.reactor.watchSignals([SIGTERM, SIGINT])
        let service = RelayService(loop.handle)
        let server = ControlServer<RelayControl>(claim: claim) { request, stream in
            service.answer(request, stream)
        }
        logger.info("node \(self.nodeName) is ready at \(server.path)")
        loop.run()
        server.stop()
        logger.info("stopped")
    }
}
