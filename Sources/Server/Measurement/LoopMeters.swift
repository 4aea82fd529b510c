import NIOCore
import Wire

/// The operations by small numbers, so that what is counted of them lies in arrays.
enum OperationIndex {
    /// Of an opcode that this release does not know.
    static let unknown = Opcode.allCases.count
    static let count = unknown + 1

    static func name(_ index: Int) -> String {
        index < unknown ? Opcode.allCases[index].name : "UNKNOWN"
    }

    /// By opcode; larger ones are unknown.
    static let table: [UInt8] = {
        let size = 1 + Int(Opcode.allCases.map(\.rawValue).max() ?? 0)
        var table = [UInt8](repeating: UInt8(unknown), count: size)
        for (index, opcode) in Opcode.allCases.enumerated() {
            table[Int(opcode.rawValue)] = UInt8(index)
        }
        return table
    }()
}

/// What one event loop measures: touched on that loop only, without locks, atomic operations or
/// allocations but for the first failure of each kind.
///
/// The latency of a request is the time from when the bytes of its frame were read from the socket
/// until its answer was handed to the channel. Answers of one read are handed over together, so two
/// readings of the clock serve a whole read, and each request in it has the time it really took: that
/// of waiting for those before it and for those after it that left with it included. Where a client
/// did not take its answers, the time counts from when the server went on with its requests.
struct LoopMeters {
    struct Failure: Hashable {
        let operation: Int
        let status: Status
    }

    private(set) var histograms = [LatencyHistogram](
        repeating: LatencyHistogram(), count: OperationIndex.count)
    private(set) var okCounts = [UInt64](repeating: 0, count: OperationIndex.count)
    private(set) var failures: [Failure: UInt64] = [:]
    var bytesRead = 0
    var bytesWritten = 0
    /// Answers encoded and not handed over yet, by operation.
    private var waiting = [UInt32](repeating: 0, count: OperationIndex.count)
    /// Bit i is set where `waiting[i]` is above 0.
    private var waitingMask: UInt64 = 0
    private let indices = OperationIndex.table
    private let lookupIndex = Int(OperationIndex.table[Int(Opcode.lookup.rawValue)])

    init() {
        // Each in memory of its own.
        for index in histograms.indices { histograms[index] = LatencyHistogram() }
    }

    func index(_ rawOpcode: UInt16) -> Int {
        let number = Int(rawOpcode & ~Opcode.responseBit)
        return number < indices.count ? Int(indices[number]) : OperationIndex.unknown
    }

    /// Counts an answer that is encoded, and handed over later.
    mutating func answered(_ rawOpcode: UInt16, _ status: Status) {
        let operation = index(rawOpcode)
        count(operation, status)
        waiting[operation] += 1
        waitingMask |= 1 << UInt64(operation)
    }

    /// The answers encoded so far, of frames read at `start` (uptime in nanoseconds), have been handed
    /// to the channel.
    mutating func handedOver(since start: UInt64) {
        guard waitingMask != 0 else { return }
        let duration = NIODeadline.now().uptimeNanoseconds &- start
        while waitingMask != 0 {
            let operation = waitingMask.trailingZeroBitCount
            waitingMask &= waitingMask - 1
            histograms[operation].record(duration, times: UInt64(waiting[operation]))
            waiting[operation] = 0
        }
    }

    /// Counts an answer that has been handed to the channel now.
    mutating func finished(_ rawOpcode: UInt16, _ status: Status, since start: UInt64) {
        let operation = index(rawOpcode)
        count(operation, status)
        histograms[operation].record(NIODeadline.now().uptimeNanoseconds &- start)
    }

    /// Counts look-ups that were answered together, and the time in nanoseconds of each.
    mutating func lookedUp(_ count: Int, in duration: UInt64) {
        okCounts[lookupIndex] &+= UInt64(count)
        histograms[lookupIndex].record(duration, times: UInt64(count))
    }

    private mutating func count(_ operation: Int, _ status: Status) {
        if status.isOK {
            okCounts[operation] &+= 1
        } else {
            failures[Failure(operation: operation, status: status), default: 0] &+= 1
        }
    }
}
