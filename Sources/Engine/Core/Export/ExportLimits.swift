// SPDX-License-Identifier: Apache-2.0

package import Primitives
internal import Wire

/// Limits of one NBD connection.
package enum ExportLimits {
    /// Requests in flight, until their replies are sent.
    ///
    /// By default qemu sends 16 and the kernel 128.
    package static var requestsInFlight: Int { 256 }
    /// Payload in flight in bytes: two requests of the maximum size.
    package static var payloadInFlight: UInt64 { 2 * UInt64(NBDLimits.payloadMaximum) }
    /// The longest payload of a refused write that is read and dropped to stay in step.
    ///
    /// A client that sends more has ignored the announced maximum twice over.
    package static var refusedPayload: UInt32 { 2 * NBDLimits.payloadMaximum }
    /// Options of one negotiation: a client that lists a thousand exports and asks about each
    /// passes.
    package static var options: Int { 4096 }
    /// The longest data of an option that is read and dropped; more ends the connection.
    package static var refusedOptionData: UInt32 { 65_536 }
    /// Memory for the longest answer to one option: GO with a name and a description of 4096 bytes.
    package static var outputByteCount: Int { 12_288 }
    /// From the connection to the first request.
    package static var negotiationTime: TimeSpan { .seconds(30) }
    /// From DISC or the server's stop to the last reply.
    package static var drainTime: TimeSpan { .seconds(30) }
    /// What a client may take to send or to receive 1 MiB of a request, or what is left of it,
    /// while others wait for memory.
    package static var stallTime: TimeSpan { .seconds(10) }
}
