// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The payload buffers of a node, with counted references as in the driver's pool.
struct BufferTable {
    private struct Buffer {
        var content: [Content]
        var references = 1
    }

    private var buffers: [UInt32: Buffer] = [:]
    private var last: UInt32 = 0

    var count: Int { self.buffers.count }

    mutating func make(_ content: [Content]) -> BufferHandle {
        self.last += 1
        self.buffers[self.last] = Buffer(content: content)
        return BufferHandle(number: self.last)
    }

    /// What the buffer holds; a buffer that was given back traps.
    subscript(handle: BufferHandle) -> [Content] {
        get {
            guard let buffer = self.buffers[handle.number] else {
                invariantBroken("a buffer is not used after it was given back")
            }
            return buffer.content
        }
        set {
            invariant(self.buffers[handle.number] != nil, "buffer was given back")
            self.buffers[handle.number]?.content = newValue
        }
    }

    mutating func release(_ handle: BufferHandle) {
        guard handle != .none else { return }
        guard var buffer = self.buffers[handle.number] else {
            invariantBroken("a buffer is not used after it was given back")
        }
        buffer.references -= 1
        self.buffers[handle.number] = buffer.references == 0 ? nil : buffer
    }
}
