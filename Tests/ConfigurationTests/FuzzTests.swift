// SPDX-License-Identifier: Apache-2.0
import Configuration
import Primitives
import Testing

/// The parsers end for every input, and every refusal says where.
struct FuzzTests {
    private static let inputsPerSeed = 7_000

    @Test(arguments: 0..<16)
    func `mutated files are accepted or refused with file and line`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let corpus = try Self.corpus()
        var accepted = 0
        for _ in 0..<Self.inputsPerSeed {
            let base = corpus[Int(random.below(UInt64(corpus.count)))]
            let bytes = Self.mutated(base, &random)
            let configuration: Configuration
            do throws(ConfigurationError) {
                configuration = try Parser.parse("/t", from: OneFile(bytes: bytes))
            } catch {
                for diagnostic in error.diagnostics {
                    #expect(diagnostic.position.line >= 1)
                    #expect(diagnostic.position.file == "/t")
                    #expect(!diagnostic.message.isEmpty)
                }
                continue
            }
            accepted += 1
            if accepted % 64 == 0 { try Self.exercise(configuration) }
        }
        #expect(accepted > 0)
        #expect(accepted < Self.inputsPerSeed)
    }

    @Test
    func `every prefix of the examples is accepted or refused with a line`() throws {
        for text in try Self.corpus() {
            for length in stride(from: 0, to: text.count, by: 1) {
                do throws(ConfigurationError) {
                    _ = try Parser.parse("/t", from: OneFile(bytes: Array(text[..<length])))
                } catch {
                    #expect(error.diagnostics.allSatisfy { $0.position.line >= 1 })
                }
            }
        }
    }

    @Test
    func `mutated running states are read or refused with a line`() {
        let text = Array(
            """
            resource "r" { options { quorum majority; }
            _this_host { node-id 0; volume 0 { device minor 1; disk "/a"; meta-disk "/m" [ 1 ]; } }
            connection { _peer_node_id 1; path { _this_host ipv4 10.0.0.1:7; _remote_host
            ipv6 [::1]:7; } net { _name "b"; } volume 0 { disk { resync-rate 1k; } } } }
            """.utf8
        )
        var random = SeededRandom(seed: 99)
        var refused = 0
        for _ in 0..<10_000 {
            do throws(Diagnostic) {
                _ = try RunningStateParser.parse(Self.mutated(text, &random))
            } catch {
                refused += 1
                #expect(error.position.line >= 1)
            }
        }
        #expect(refused > 1000)
    }

    /// Small files that together use the whole grammar.
    private static func corpus() throws -> [[UInt8]] {
        let examples = [try example("drbd-compatible.res"), try example("bsr.res")]
        let chunks = examples.flatMap { text in
            text.split(separator: "\n\n", omittingEmptySubsequences: true).map(Self.uncommented)
        }
        return chunks.filter { $0.count > 20 }.map { Array($0.utf8) }
    }

    private static func uncommented(_ text: Substring) -> String {
        text.split(separator: "\n").map { $0.prefix { $0 != "#" } }.joined(separator: "\n")
    }

    private static func mutated(_ base: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = base
        let words = [
            "{", "}", ";", "\"", "\\", "[", "]", ":", "#", "\n", "volume 0", "disk", "9", "M",
        ]
        for _ in 0...random.below(3) {
            if bytes.isEmpty { break }
            let at = Int(random.below(UInt64(bytes.count)))
            switch random.below(6) {
            case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[at] ^= 1 << UInt8(random.below(8))
            case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int(random.below(20))))
            case 3:
                let word = words[Int(random.below(UInt64(words.count)))]
                bytes.insert(contentsOf: word.utf8, at: at)
            case 4:
                let from = Int(random.below(UInt64(bytes.count)))
                let piece = Array(bytes[from..<min(bytes.count, from + Int(random.below(60)))])
                bytes.insert(contentsOf: piece, at: at)
            default: bytes.removeSubrange(at...)
            }
        }
        return bytes
    }

    /// What is accepted can be dumped, and looked at from a node.
    private static func exercise(_ configuration: Configuration) throws {
        let text = try dump(configuration, expanded: true)
        #expect(text.hasPrefix("# /t\n"))
        let finder = TargetFinder(configuration, on: NodeIdentity(name: "alpha"))
        do throws(UsageError) {
            for view in try finder.views() {
                let target = Target(view: view)
                #expect(!AdjustPlan.commands(target, running: nil).isEmpty)
            }
        } catch {
            #expect(error.message.contains("resync-after"))
        }
    }
}

/// One file at every path.
private struct OneFile: ConfigurationFiles {
    var bytes: [UInt8]

    func read(_ path: String) throws(FileFailure) -> [UInt8] {
        if path == "/t" { return self.bytes }
        throw FileFailure(reason: "No such file or directory")
    }

    func matches(of pattern: String) -> [String] { [] }

    func absolutePath(of path: String) -> String { path }
}
