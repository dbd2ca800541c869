// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

/// When commands are answered that have to survive a crash.
@Suite struct DurableReplyTests {
    @Test(
        "a promotion and a demotion are answered when the superblocks of all volumes are durable",
        arguments: [0, 1, 2] as [UInt16]
    )
    func allSuperblocks(lastVolume: UInt16) {
        var node = LoneResource(volumes: 3)
        let commands: [ResourceCommand] = [.primary(force: true), .secondary(force: false)]
        for command in commands {
            let identifier = node.command(command, holdingSuperblockOf: lastVolume)
            #expect(node.replies[identifier] == nil)
            node.releaseSuperblock()
            #expect(node.replies[identifier] == .success)
        }
    }
}

/// A resource that is never connected, with disks that get everything done at once but what is
/// held.
private struct LoneResource: ~Copyable {
    private var core: Resource
    private var actions = ActionQueue<ResourceAction>()
    private var lastCommand: UInt32 = 0
    private var heldVolume: UInt16?
    private var held: [(UInt16, IOToken)] = []
    private(set) var replies: [UInt32: StateChangeCode] = [:]

    init(volumes: UInt16) {
        self.core = Resource(parameters: ResourceParameters(), seed: 1)
        for number in 0..<volumes {
            let index = self.core.addVolume(
                number: number,
                minor: UInt32(number),
                parameters: DiskParameters(),
                into: &self.actions
            )
            self.core.attach(
                index ?? .max,
                Attachment(diskSectors: 32_768),
                at: .zero,
                into: &self.actions
            ) { words in words.update(repeating: 0) }
        }
        self.applyActions()
    }

    /// Gives `command`, and does not complete the flush of one volume's superblock.
    mutating func command(
        _ command: ResourceCommand,
        holdingSuperblockOf volume: UInt16
    ) -> UInt32 {
        self.heldVolume = volume
        self.lastCommand += 1
        self.deliver(.command(self.lastCommand, command))
        return self.lastCommand
    }

    mutating func releaseSuperblock() {
        self.heldVolume = nil
        let released = self.held
        self.held = []
        for (volume, token) in released { self.complete(volume, token) }
    }

    private mutating func deliver(_ event: ResourceEvent) {
        self.core.receive(event, at: .zero, into: &self.actions)
        self.applyActions()
    }

    private mutating func complete(_ volume: UInt16, _ token: IOToken) {
        self.deliver(.io(volume: volume, token, .success, .none))
    }

    private mutating func applyActions() {
        while let action = self.actions.popFirst() {
            switch action {
            case .flushMetadata(let volume, let token)
            where token.purpose == .superblockFlush && volume == self.heldVolume:
                self.held.append((volume, token))
            case .flushData(let volume, let token), .writeActivityLogBlock(let volume, let token),
                .writeBitmapPage(let volume, let token, _), .writeSuperblock(let volume, let token),
                .flushMetadata(let volume, let token):
                self.complete(volume, token)
            case .reply(let command, let code): self.replies[command] = code
            case .attached, .changed, .moved: break
            case .read, .write, .writeZeroes, .closeDisk, .complete, .completeRead,
                .disconnectClients, .releaseBuffer, .openTransport, .closeTransport, .send,
                .sendBitmap, .adopt, .sendAuthentication, .computeResponses:
                Issue.record("nobody has asked for \(action)")
            }
        }
    }
}
