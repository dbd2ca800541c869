// SPDX-License-Identifier: Apache-2.0

import Administration
import ArgumentParser
import Dispatch
import Foundation
import LinkSimulation
import Primitives

/// `drxsim link`: runs a link until SIGINT or SIGTERM.
struct LinkTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link",
        abstract: "A TCP link with delay, rate, jitter and outages, in user space.",
        discussion: """
            Whoever connects to --listen reaches --to through the link. Several pairs share one \
            link, as two sites share one WAN; the first --listen belongs to the first --to. Delay, \
            jitter and rate hold in each direction. Nothing is lost and nothing overtakes within a \
            connection; a full link makes senders wait.

            When it is ready it prints one line for each pair, with the port that was chosen for \
            port 0: listening 127.0.0.1:40001 -> 127.0.0.1:7789

            Packets of DRBD's protocol that pass are counted by kind; see drxsim control --help.

            Example: 100 Mbit/s with a round trip of 50 ms
              drxsim link --listen 127.0.0.1:0 --to 127.0.0.1:7789 --rtt 50 --rate 100M \
            --control /tmp/link.sock
            """
    )

    @Option(help: ArgumentHelp("Where to listen; may be repeated.", valueName: "address:port"))
    var listen: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where to connect to; once for each --listen.",
            valueName: "address:port"
        )
    )
    var to: [String] = []

    @Option(help: ArgumentHelp("Delay of each direction (default: 0).", valueName: "milliseconds"))
    var delay: String?

    @Option(help: ArgumentHelp("Twice the delay; instead of --delay.", valueName: "milliseconds"))
    var rtt: String?

    @Option(
        help: ArgumentHelp("Bits a second in each direction, for instance 100M.", valueName: "rate")
    )
    var rate = "unlimited"

    @Option(help: ArgumentHelp("Varies the delay by up to so much.", valueName: "milliseconds"))
    var jitter = "0"

    @Option(help: ArgumentHelp("A unix socket for drxsim control.", valueName: "socket"))
    var control: String?

    func validate() throws {
        guard !self.listen.isEmpty, self.listen.count == self.to.count else {
            throw ValidationError(
                "give as many --to as --listen, at least one of each "
                    + "(here: \(self.listen.count) --listen, \(self.to.count) --to)"
            )
        }
        guard self.delay == nil || self.rtt == nil else {
            throw ValidationError("give --delay (one way) or --rtt (both ways), not both")
        }
        do {
            _ = try self.settings()
            _ = try self.routes()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() throws {
        let link = try Link(self.routes(), self.settings())
        let signals = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { link.stop() }
            source.resume()
            return source
        }
        let server = try self.controlServer(of: link)
        for route in link.routes { print("listening \(route.listen) -> \(route.target)") }
        fflush(nil)
        link.run()
        server?.stop()
        for source in signals { source.cancel() }
    }

    private func settings() throws(LinkError) -> LinkSettings {
        var settings = LinkSettings()
        if let delay { settings.delay = try LinkSettings.milliseconds(delay, as: "delay") }
        if let rtt {
            let both = try LinkSettings.milliseconds(rtt, as: "rtt")
            settings.delay = .init(nanoseconds: both.nanoseconds / 2)
        }
        settings.jitter = try LinkSettings.milliseconds(self.jitter, as: "jitter")
        settings.rate = try LinkSettings.rate(self.rate)
        return settings
    }

    private func routes() throws(LinkError) -> [LinkRoute] {
        var routes: [LinkRoute] = []
        for (listen, target) in zip(self.listen, self.to) {
            routes.append(
                LinkRoute(listen: try LinkAddress(listen), target: try LinkAddress(target))
            )
        }
        return routes
    }

    private func controlServer(of link: Link) throws -> ControlServer<LinkControl>? {
        guard let path = self.control else { return nil }
        do throws(ControlError) {
            return try link.serveControl(at: path)
        } catch .alreadyRunning {
            throw ToolError("\(path): another link answers there; use another --control")
        } catch .pathTooLong {
            throw ToolError("\(path): too long for the path of a socket; use a shorter --control")
        } catch .notASocket {
            throw ToolError("\(path): exists and is not a socket; use another --control")
        }
    }
}
