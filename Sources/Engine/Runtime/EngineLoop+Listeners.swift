// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The TCP addresses at which resources want their volumes exported (`nbd-listen`).
extension EngineLoop {
    /// Listens at `addresses` and no longer at others that an earlier call named.
    ///
    /// Addresses are texts as ``SocketAddress/parsing(_:)`` takes them. Returns why the first one
    /// that cannot be used cannot be used; then the earlier ones stay as they were.
    func listenForClients(on addresses: Set<String>) -> String? {
        var opened: [(text: String, listener: ListenerID)] = []
        for text in addresses.sorted() where self.state.pointee.resourceListeners[text] == nil {
            do {
                let address = try SocketAddress.parsing(text)
                let listener = try self.reactor.listen(on: address, options: Self.clientOptions)
                opened.append((text, listener))
            } catch {
                for (_, listener) in opened { self.reactor.close(listener) }
                return "nbd-listen \(text): \(error)"
            }
        }
        for (text, listener) in self.state.pointee.resourceListeners
        where !addresses.contains(text) {
            self.state.pointee.resourceListeners[text] = nil
            self.state.pointee.nbdListeners.removeAll { $0 == listener }
            self.reactor.close(listener)
        }
        for (text, listener) in opened {
            self.state.pointee.resourceListeners[text] = listener
            self.state.pointee.nbdListeners.append(listener)
        }
        return nil
    }
}
