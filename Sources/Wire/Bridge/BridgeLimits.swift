// SPDX-License-Identifier: Apache-2.0

/// The limits of the protocol between two relays; a frame outside them ends the bridge.
package enum BridgeLimits {
    /// The oldest and the newest version that we speak.
    package static let versions: ClosedRange<UInt16> = 1...1
    /// The size of the header in front of every frame.
    package static let headerByteCount = 32
    /// The most stream bytes in one data frame: one zstd block.
    ///
    /// At 100 kbit/s such a frame takes 10 s, less than the silence that ends a bridge.
    package static let contentMaximum: UInt32 = 128 * 1024
    /// The most bytes by which compression may enlarge a frame's content; zstd and lz4 need 0.8 %.
    package static let expansionMaximum: UInt32 = 2 * 1024
    /// The most payload bytes of hello, welcome and refusal together with their texts.
    package static let greetingMaximum: UInt32 = 2 * 1024
    /// The longest name of a resource or node, in bytes of UTF-8.
    package static let nameMaximum = 255
    /// The longest text of a refusal, in bytes of UTF-8.
    package static let refusalTextMaximum = 1024
    /// The most plugins in a list: a compressor and a crypto, with room for later kinds.
    package static let pluginMaximum = 8
    /// The TCP connections of one channel: one, and a second for a node that dials both sockets.
    package static let lanesPerChannel: UInt8 = 2
}
