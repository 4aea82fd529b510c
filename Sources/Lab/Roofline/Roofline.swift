import ByteCoding
import ColumnStore
import Foundation
import Numerical

/// The measured limits of a machine, as `patron roofline --json` prints them.
package struct Roofline: Codable, Sendable, Equatable {
    /// One limit: the best of several repetitions, and their median beside it. Latencies are better
    /// when smaller, everything else when larger.
    package struct Limit: Codable, Sendable, Equatable {
        package var unit: String
        package var oneThread: Double
        package var oneThreadMedian: Double
        /// Nil where one thread is the whole measurement.
        package var allThreads: Double?
        package var allThreadsMedian: Double?

        private enum CodingKeys: String, CodingKey {
            case unit
            case oneThread = "one_thread"
            case oneThreadMedian = "one_thread_median"
            case allThreads = "all_threads"
            case allThreadsMedian = "all_threads_median"
        }
    }

    package var machine: Machine
    /// Threads of `allThreads`.
    package var threads: Int
    /// The level of everything that does not name one.
    package var isa: String
    /// All measurements together.
    package var seconds: Double
    /// By the names of `rows`.
    package var limits: [String: Limit]

    /// Most bytes of a file, many times what `patron roofline` writes.
    private static let fileByteLimit = 1 << 20
    /// What a limit can be on any machine, in its unit: outside, the file is wrong.
    private static let plausible = 1e-3...1e9

    /// Reads a file that `patron roofline --json` wrote.
    /// - Throws: `store` where it cannot be read; `roofline` where it is none.
    package init(path: String) throws(LabError) {
        let read: Roofline
        do {
            let file = try MappedFile(path: path)
            guard file.byteCount <= Self.fileByteLimit else {
                throw LabError.roofline(
                    path: path,
                    reason:
                        "has \(file.byteCount) bytes, too many for the output of patron roofline")
            }
            let bytes = file.withBytes {
                $0.lanes(at: 0, count: $0.byteCount, as: UInt8.self) ?? []
            }
            read = try JSONDecoder().decode(Roofline.self, from: Data(bytes))
        } catch let error as StoreError {
            throw .store(error)
        } catch let error as LabError {
            throw error
        } catch {
            throw .roofline(path: path, reason: "is not the output of patron roofline")
        }
        for (name, limit) in read.limits.sorted(by: { $0.key < $1.key }) {
            let values = [
                limit.oneThread, limit.oneThreadMedian, limit.allThreads ?? limit.oneThread,
                limit.allThreadsMedian ?? limit.oneThread,
            ]
            if let bad = values.first(where: { !Self.plausible.contains($0) }) {
                throw .roofline(
                    path: path,
                    reason: "the limit \(name) is \(bad) \(limit.unit), which no machine has")
            }
        }
        guard (1...65_536).contains(read.threads) else {
            throw .roofline(path: path, reason: "threads is \(read.threads), not 1 to 65536")
        }
        let sizes = [read.machine.l1Bytes, read.machine.l2Bytes, read.machine.l3Bytes]
        guard sizes.allSatisfy({ $0 >= 0 }) else {
            throw .roofline(path: path, reason: "a cache has fewer than 0 bytes")
        }
        self = read
    }

    init(machine: Machine, threads: Int, isa: String, seconds: Double, limits: [String: Limit]) {
        self.machine = machine
        self.threads = threads
        self.isa = isa
        self.seconds = seconds
        self.limits = limits
    }

    /// A limit's name and what it means.
    package struct Row: Sendable {
        package let name: String
        package let meaning: String
    }

    /// All limits that can be measured, in the order in which they are shown.
    package static let rows: [Row] =
        ISALevel.allCases.reversed().map { level in
            Row(
                name: "fma_\(level.rawValue)",
                meaning: level == .scalar
                    ? "plain multiply-and-add code, as the compiler packs it"
                    : "single-precision multiply-adds in registers, level \(level.rawValue)")
        } + [
            Row(name: "tile", meaning: "the k-means assignment's register tile, 64 x 256, from L2"),
            Row(name: "read_l1", meaning: "reading half of a first-level cache"),
            Row(name: "read_l2", meaning: "reading half of a second-level cache"),
            Row(
                name: "read_l3",
                meaning: "reading half of the third-level cache, each thread a part"),
            Row(name: "read_dram", meaning: "reading memory"),
            Row(name: "write_dram", meaning: "writing memory by ordinary stores (bytes written)"),
            Row(name: "copy_dram", meaning: "copying memory (bytes read and written)"),
        ]
        + stride(from: 14, through: 30, by: 2).map { power in
            Row(
                name: latencyName(byteCount: 1 << power),
                meaning: "one dependent load from \(sizeText(1 << power)) of shuffled lines")
        } + [
            Row(
                name: "lz4_decode",
                meaning: "LZ4 decoding of 64 KiB chunks of sparse amounts (bytes decoded)"),
            Row(name: "memcpy", meaning: "memcpy of the same bytes (bytes copied)"),
            Row(name: "echo", meaning: "64-byte round trips over loopback TCP, two threads"),
            Row(name: "echo_p50", meaning: "a round trip, median"),
            Row(name: "echo_p99", meaning: "a round trip, 99th percentile"),
            Row(name: "loopback", meaning: "one stream over loopback TCP, two threads"),
        ]

    static func latencyName(byteCount: Int) -> String {
        "latency_" + sizeText(byteCount).lowercased().replacing(" ", with: "")
    }

    private static func sizeText(_ byteCount: Int) -> String {
        if byteCount >= 1 << 30 { return "\(byteCount >> 30) GiB" }
        if byteCount >= 1 << 20 { return "\(byteCount >> 20) MiB" }
        return "\(byteCount >> 10) KiB"
    }
}
