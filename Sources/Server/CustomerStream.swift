import ByteCoding
import ColumnStore
import Engine
import Synchronization
import Wire

/// The answer to a SCAN, AUDIENCE or COUNT under way: where it is in the snapshot, and the memory
/// that it works in. It is worked on in slices, so that a long one neither keeps others from the
/// scan threads nor goes on for long after a CANCEL.
struct CustomerStream: Sendable {
    /// Rows of the snapshot that a slice looks at, at most: about a millisecond.
    private static let sliceRowCount = 64 * RuleScan.blockRowCount

    /// What a slice has brought.
    enum Slice: Sendable {
        /// Nothing to send yet; rows gone past and all rows.
        case working(Int, of: Int)
        case frame([UInt8], isLast: Bool)
    }

    /// Frames of one stream that there are at a time: one is being made, one is on its way to the
    /// socket, the others wait.
    static let keptFrameCount = 4

    let served: ServedSnapshot
    private let opcode: Opcode
    private let requestID: UInt32
    private let fields: [LookupField]
    /// No frame of a chunk is larger.
    let chunkByteCount: Int
    /// Rows of a chunk, unless their text ids are long.
    private let chunkRowCount: Int
    /// Whether chunks are compressed where that pays.
    private let compresses: Bool
    /// Of the columns and the rule: a token goes with one request only.
    private let fingerprint: UInt64
    private var rule: RuleScan?
    /// The next row to look at.
    private var nextRow: Int
    /// Rows found in a block that did not fit into the last chunk, ascending.
    private var found: [UInt32] = []
    private var matchingCount = 0
    /// Rows that are nobody's any more.
    private var erased = ErasedRows()
    private var scratch = LookupScratch()
    /// Of the next chunk, and of those before from the oldest on, which may not be sent yet. Their memory
    /// is used again where nobody has kept it.
    private var writer = ByteWriter()
    private var earlierWriters: [ByteWriter] = []
    /// Where the latest chunk begins, and who was erased when it was made.
    private(set) var mark = SliceMark()

    /// A stream of chunks.
    /// - Parameter frameByteCount: the largest `length` that the client takes.
    init(
        _ served: ServedSnapshot, _ request: StreamRequest, _ opcode: Opcode, requestID: UInt32,
        frameByteCount: Int, compresses: Bool = false
    ) throws(Refusal) {
        self.served = served
        self.opcode = opcode
        self.requestID = requestID
        self.compresses = compresses
        fields = try Self.fields(served, request)
        rule = try request.rule.map { text throws(Refusal) in try Self.scan(text, served) }
        var hasher = ByteWriter()
        for column in request.columns ?? [] { hasher.append(column.rawValue) }
        hasher.append(UInt16(0))
        hasher.append(contentsOf: (request.rule ?? "").utf8)
        fingerprint = KeyedHash(key: 0).hash(hasher.bytes.span.bytes)
        nextRow = 0
        chunkByteCount = min(WireLimits.smallestCredit, frameByteCount)
        // The bitmaps and lanes of two rows stand for what aligning them takes.
        let fixed =
            FrameHeader.byteCount + StreamChunk.factBytes + WireLimits.idBytes + 256
            + LookupAnswer.maximumByteCount(
                stampByteCount: served.stampBytes.count, rowCount: 2, fields: fields)
        let perRow = fields.reduce(8 + 4) { $0 + $1.byteCount } + (fields.count + 7) / 8
        chunkRowCount = (chunkByteCount - fixed) / perRow
        guard chunkRowCount >= 1 else {
            throw Refusal(
                .answerTooLarge, "a chunk takes more than the \(frameByteCount) bytes of a frame",
                hint: "ask for fewer columns")
        }
        if let token = request.resumeToken { nextRow = try row(of: token) }
    }

    /// A count of customers.
    init(
        counting request: CountRequest, _ served: ServedSnapshot, requestID: UInt32
    ) throws(Refusal) {
        self.served = served
        opcode = .count
        self.requestID = requestID
        compresses = false
        fields = []
        rule = try Self.scan(request.rule, served)
        fingerprint = 0
        nextRow = 0
        chunkByteCount = 0
        chunkRowCount = 0
    }

    private static func scan(
        _ text: String, _ served: ServedSnapshot
    ) throws(Refusal) -> RuleScan {
        do throws(RuleFlaw) {
            return RuleScan(
                try AudienceRule(parsing: text, in: served.snapshot), served.snapshot)
        } catch {
            throw Refusal(
                .invalidRule,
                ErrorBody(
                    text: error.text, hint: error.hint, field: WireField.rule.rawValue,
                    byteOffset: UInt32(clamping: error.byteOffset)))
        }
    }

    private static func fields(
        _ served: ServedSnapshot, _ request: StreamRequest
    ) throws(Refusal) -> [LookupField] {
        guard let columns = request.columns else { return served.fields }
        var fields: [LookupField] = []
        for (position, id) in columns.enumerated() {
            guard let index = served.snapshot.columnIndex(id: id.rawValue) else {
                throw Refusal(
                    WireError.unknownColumn(id: id.rawValue, byteOffset: 48 + position * 2))
            }
            fields.append(served.fields[index])
        }
        return fields
    }

    // MARK: Tokens

    /// The first row that is not sent yet.
    private var unsentRow: Int { found.first.map { Int($0) } ?? nextRow }

    private func row(of token: ResumeToken) throws(Refusal) -> Int {
        let foreign = Refusal(
            .valueOutOfRange,
            ErrorBody(
                text: "the resume token is of another request",
                hint: "send the columns and the rule with which the stream began",
                field: WireField.resumeToken.rawValue, byteOffset: 8))
        guard token.words[3] == 1, token.words[2] == fingerprint else { throw foreign }
        guard token.words[0] == served.generation else {
            throw Refusal(
                .snapshotChanged,
                "the stream began in generation \(token.words[0]), now it is \(served.generation)",
                hint: "begin again without a token")
        }
        guard let row = Int(exactly: token.words[1]), row <= served.snapshot.customerCount else {
            throw foreign
        }
        return row
    }

    // MARK: Work

    /// Goes on for a while.
    mutating func work() -> Slice {
        // Who is erased while the stream goes on is in no later chunk.
        erased = served.erased
        let rowCount = served.snapshot.customerCount
        let end = min(rowCount, nextRow + Self.sliceRowCount)
        if opcode == .count {
            while nextRow < end { count(nextRow..<min(nextRow + RuleScan.blockRowCount, end)) }
            return nextRow < rowCount
                ? .working(nextRow, of: rowCount) : .frame(countFrame(), isLast: true)
        }
        while nextRow < end, found.count < chunkRowCount {
            find(nextRow..<min(nextRow + RuleScan.blockRowCount, end))
        }
        if found.count < chunkRowCount, nextRow < rowCount {
            return .working(nextRow, of: rowCount)
        }
        return chunkFrame()
    }

    private mutating func count(_ block: Range<Int>) {
        if let mask = rule?.select(block) {
            for word in mask.indices {
                let gone = erased.bits(from: block.lowerBound + word * 64)
                matchingCount += (mask[word] & ~gone).nonzeroBitCount
            }
        }
        nextRow = block.upperBound
    }

    private mutating func find(_ block: Range<Int>) {
        guard let mask = rule?.select(block) else {
            // All customers: no more of them than a chunk takes.
            let rows = block.prefix(chunkRowCount - found.count)
            if erased.isEmpty {
                found.append(contentsOf: UInt32(rows.startIndex)..<UInt32(rows.endIndex))
            } else {
                for row in rows where !erased.contains(row) { found.append(UInt32(row)) }
            }
            nextRow = rows.endIndex
            return
        }
        for word in mask.indices {
            var bits = mask[word] & ~erased.bits(from: block.lowerBound + word * 64)
            while bits != 0 {
                found.append(UInt32(block.lowerBound + word * 64 + bits.trailingZeroBitCount))
                bits &= bits - 1
            }
        }
        nextRow = block.upperBound
    }

    mutating func goBack(to mark: SliceMark) {
        found.removeAll(keepingCapacity: true)
        nextRow = mark.row
    }

    private mutating func chunkFrame() -> Slice {
        let customers = served.snapshot.customers
        // Anew: it is what the chunk goes by.
        erased = served.erased
        mark = SliceMark(row: unsentRow, served: served, erasedCount: erased.count)
        if !erased.isEmpty { found.removeAll { erased.contains(Int($0)) } }
        var count = min(found.count, chunkRowCount)
        if customers.holdsTexts { count = fitting(count) }
        scratch.rows.removeAll(keepingCapacity: true)
        scratch.rows.append(contentsOf: found[..<count])
        found.removeFirst(count)
        let isLast = nextRow == served.snapshot.customerCount && found.isEmpty
        earlierWriters.append(writer)
        writer =
            earlierWriters.count < Self.keptFrameCount
            ? ByteWriter() : earlierWriters.removeFirst()
        writer.removeAll()
        let frame = writer.beginFrame(
            rawOpcode: opcode.rawValue | Opcode.responseBit, requestID: requestID,
            aux: Status.ok.rawValue, flags: isLast ? [] : .more)
        writer.append(lanes: served.stampBytes)
        StreamChunk.encodeFacts(
            UInt64(unsentRow),
            ResumeToken(words: [served.generation, UInt64(unsentRow), fingerprint, 1]),
            into: &writer)
        let rows = scratch.rows
        LookupAnswer(strip: served.snapshot.strip, fields: fields).write(
            &scratch, ids: customers.ids(of: rows.span), bodyStart: frame.bodyStart, into: &writer)
        writer.finishFrame(frame, compressing: compresses ? WireLimits.compressedSizes : nil)
        return .frame(writer.bytes, isLast: isLast)
    }

    /// How many of the first rows found fit into a chunk with their text ids: at least one.
    private func fitting(_ count: Int) -> Int {
        let customers = served.snapshot.customers
        // Offsets take half of what an integer id does, which the count of rows has left room for.
        var room = chunkRowCount * 4 + WireLimits.idBytes
        for (index, row) in found[..<count].enumerated() {
            room -= customers.byteCount(row: Int(row))
            if room < 0 { return max(1, index) }
        }
        return count
    }

    private func countFrame() -> [UInt8] {
        var writer = ByteWriter()
        Response.count(
            CountResponse(
                stamp: served.stamp, matchingCustomers: UInt64(matchingCount),
                customerCount: UInt64(served.snapshot.customerCount - erased.count))
        ).encodeFrame(requestID: requestID, into: &writer)
        return writer.bytes
    }
}
