// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import Reactor

/// `nbd-listen` of resources.
extension EngineService {
    /// Makes the loop listen where the options of all resources say, with `changed` as those of the
    /// resource `name`; nil options are those of a resource that goes away.
    ///
    /// Returns the reason if an address cannot be used; nothing has changed then.
    func listen(for name: String, _ changed: ResourceOptions?) -> String? {
        var addresses: Set<String> = []
        if let address = changed?.nbdListen {
            if !address.isLoopback {
                self.warn(
                    """
                    resource \(name): nbd-listen \(address.endpoint) is reachable from other \
                    machines, and NBD clients are not authenticated: protect the network
                    """
                )
            }
            addresses.insert(address.endpoint)
        }
        for resource in self.allResources where resource.name != name {
            guard let options = try? ResourceOptions(resource.options.pairs),
                let address = options.nbdListen
            else { continue }
            addresses.insert(address.endpoint)
        }
        let wanted = addresses
        let problem: String?? = self.ask { loop, done in done(loop.listenForClients(on: wanted)) }
        guard let problem else { return Self.unanswered }
        return problem
    }

    /// Logs a warning.
    func warn(_ text: String) {
        let _: Bool? = self.ask { loop, done in
            loop.log.warn(text)
            done(true)
        }
    }
}
