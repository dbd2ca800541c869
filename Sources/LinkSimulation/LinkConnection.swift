// SPDX-License-Identifier: Apache-2.0

import Primitives

/// One connection through a link: two sockets and what is on its way between them.
struct LinkConnection {
    /// One end's socket and what is on its way to it.
    struct Side {
        /// Nil before the link has connected, and after the socket was closed.
        var socket: TCPSocket?
        var isConnecting = false
        /// Nothing more comes from it.
        var hasEnded = false
        /// Nothing more goes to it.
        var isFinished = false
        /// Its send buffer is full.
        var isBlocked = false
        /// What is on its way to it.
        var flow = Flow()

        /// Whether bytes can be exchanged.
        var isOpen: Bool { self.socket != nil && !self.isConnecting }
    }

    var near: Side
    var far = Side()
    let target: LinkAddress
    /// The end that was not told that the connection is gone; what it sends is swallowed.
    var kept: LinkEnd?
    var counter = ConnectionCounter()

    init(accepted socket: TCPSocket, target: LinkAddress) {
        self.near = Side(socket: socket)
        self.target = target
    }

    subscript(end: LinkEnd) -> Side {
        get { end == .near ? self.near : self.far }
        _modify {
            switch end {
            case .near: yield &self.near
            case .far: yield &self.far
            }
        }
    }

    /// Whether both sockets are gone and nothing is on its way to open one.
    var isGone: Bool {
        self.near.socket == nil && self.far.socket == nil && self.far.flow.isEmpty
    }

    /// Whether both streams have ended and arrived.
    var isComplete: Bool {
        self.near.hasEnded && self.far.hasEnded && self.near.isFinished && self.far.isFinished
    }

    /// Whether what `end` sends is wanted.
    func canRead(_ end: LinkEnd) -> Bool {
        self[end].isOpen && !self[end].hasEnded && !self[end.other].isFinished
    }

    /// Closes what is open, with resets.
    mutating func reset() {
        for end in LinkEnd.allCases { self.drop(end) { $0.reset() } }
    }

    /// Closes what is open.
    mutating func close() {
        for end in LinkEnd.allCases { self.drop(end) { $0.close() } }
    }

    /// Resets one end and keeps the other one's socket.
    mutating func halfOpen(keeping end: LinkEnd) {
        guard self.kept == nil else { return }
        guard self[end].isOpen else { return self.reset() }
        self.kept = end
        self[end].flow.clear()
        self.drop(end.other) { $0.reset() }
    }

    /// Closes one end's socket by `close` and forgets what was on its way to it.
    mutating func drop(_ end: LinkEnd, by close: (TCPSocket) -> Void) {
        if let socket = self[end].socket { close(socket) }
        self[end] = Side(hasEnded: true, isFinished: true)
    }
}
