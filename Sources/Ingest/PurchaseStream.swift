package import ByteCoding
import ColumnStore
import Numerical
package import Units

/// How a file is cut for reading; other than the defaults only in tests.
package struct ReadingPlan: Sendable {
    /// Bytes that a thread reads at a time, 1 and more. They stay in its second-level cache.
    package var pieceByteCount = 1 << 20
    /// Pieces that a thread is given before what was read is put together, 1 and more.
    package var piecesPerThread = 8
    package var recordLimits = RecordLimits()
    /// Whether every line takes the careful way, to compare with.
    package var isCareful = false

    package init() {}
}

/// The texts that the codes of purchase lines mean; nil where a column is not mapped.
package struct PurchaseTexts: Sendable, Equatable {
    package var orderIDs: TextArray?
    package var products: TextArray?
    package var categories: TextArray?
    package var promotions: TextArray?
    package var channels: TextArray?
}

/// How far a file has been read, in its own bytes: those of gzip data are the packed ones.
package struct ReadingProgress: Sendable, Equatable {
    package var byteCount: Int
    /// Nil for a pipe.
    package var totalByteCount: Int?
    /// Lines so far, those that are left out as well.
    package var lineCount = 0
}

/// Reads one file of purchase lines in batches, in file order.
///
/// Lines that cannot be used are counted by reason, written to `rejects` where given, and left out;
/// all reasons of a line are found, not only the first. Spaces and tabs around a field's content do
/// not count.
///
/// The file is cut into pieces, which threads read at once; each starts at its first line end and
/// guesses that no quoted field is open there. Where the piece before did not end there, the piece is
/// read again from the right place. What comes out does not depend on the number of threads, nor do
/// batches that are limited by lines alone. A pipe is read, and gzip data are unpacked, by one thread at a time, while the
/// others parse what came before.
///
/// Memory: `piecesPerThread` pieces a thread, the batch and the dictionaries, which grow with the
/// distinct texts until `forgetTexts`; a pipe's or gzip data's bytes of two rounds.
///
/// Not for use by several threads at once.
package final class PurchaseStream {
    private let source: ByteSource
    private let plan: ReadingPlan
    private let columns: PurchaseColumns
    private var readers: [PieceReader]
    /// For what the readers guessed wrong, and for records that reach beyond their piece.
    private let mender: PieceReader
    private let dictionaries: DictionaryMemory
    private var pieces: [FilePiece]
    private let window = TextBuffer()
    /// Bytes after a piece in which its last record may end.
    private let tailByteCount: Int

    /// Where the next piece starts, and the next record with its physical line.
    private var nextPiece = 0
    private var nextStart: Int
    private var nextLine: Int
    /// The line that starts at `nextStart` is too long and counted; its end is being looked for.
    private var isSkippingLine = false
    private var isAtEnd = false
    /// What was read and is in no batch yet, from `readyIndex` on.
    private var ready: [PieceResult] = []
    private var readyIndex = 0
    private var spare: [PieceResult] = []

    private var batch: [BatchColumn] = []
    private var file: FileTally
    /// Pieces of the last round whose bytes are not in the hash yet.
    private var unhashedCount = 0

    /// - Parameters:
    ///   - path: of a file or a pipe, plain or gzip data; `-` is standard input.
    ///   - clock: the plan's time zone, for times without an offset.
    ///   - rejects: shared by several files if wished; the caller finishes it, also after an error.
    /// - Throws: `IngestError` where the file cannot be read or mapped.
    package convenience init(
        path: String, mapping: PurchaseMapping, clock: LocalClock,
        rejects: RejectsWriter? = nil, threadCount: Int, plan: ReadingPlan = ReadingPlan()
    ) throws(IngestError) {
        try mapping.format.check()
        try self.init(
            ByteSource(path: path), mapping, clock, rejects, threadCount: threadCount, plan)
    }

    init(
        _ source: ByteSource, _ mapping: PurchaseMapping, _ clock: LocalClock,
        _ rejects: RejectsWriter?, threadCount: Int, _ plan: ReadingPlan
    ) throws(IngestError) {
        precondition(threadCount >= 1 && plan.pieceByteCount >= 1 && plan.piecesPerThread >= 1)
        try mapping.format.check()
        self.source = source
        self.plan = plan
        tailByteCount = min(plan.pieceByteCount, 8 << 10)
        let (layout, scanner) = try readLayout(source, mapping.format, plan.recordLimits)
        nextStart = scanner.position
        nextLine = scanner.nextLineNumber
        let columns = try PurchaseColumns(mapping, layout, clock)
        self.columns = columns
        let textCount = columns.textIndices.count
        let memory = DictionaryMemory(readerCount: threadCount + 1, columnCount: textCount)
        dictionaries = memory
        let all = (0...threadCount).map { index in
            PieceReader(
                columns, scanner: scanner, plan, keepsRows: rejects != nil,
                dictionaries: memory.tables[index], workerIndex: index)
        }
        readers = Array(all[..<threadCount])
        mender = all[threadCount]
        pieces = (0..<threadCount * plan.piecesPerThread).map { _ in
            FilePiece(buffer: TextBuffer(), result: PieceResult(textColumnCount: textCount))
        }
        file = FileTally(layout: layout, format: mapping.format, rejects: rejects)
        // What takes longest comes first, so that the threads end together.
        batch = [
            BatchColumn(.contentHash),
            BatchColumn(columns.idKind == .integer ? .integerIDs : .textIDs),
            BatchColumn(.times), BatchColumn(.amounts),
        ]
        if columns.marginIndex != nil { batch.append(BatchColumn(.margins)) }
        if columns.quantityIndex != nil { batch.append(BatchColumn(.quantities)) }
        for place in 0..<textCount { batch.append(BatchColumn(.texts(place))) }
    }

    package var progress: ReadingProgress {
        var progress = source.progress(at: nextPiece)
        progress.lineCount = file.total.lineCount
        return progress
    }

    /// Is called now and then while a batch is read.
    package var onProgress: ((ReadingProgress) -> Void)?

    /// Bytes that a line takes in a batch, but for the bytes of a text id.
    package var lineByteCount: Int { batch.reduce(0) { $0 + $1.lineByteCount } }

    /// Whether customers' ids are texts.
    package var hasTextIDs: Bool { columns.idKind == .text }

    /// Bytes of the texts of all codes so far.
    package var textByteCount: Int { batch.reduce(0) { $0 + $1.interner.byteCount } }

    /// Lets the codes of the next batch start anew, so that texts of lines long gone take no memory.
    package func forgetTexts() {
        for index in batch.indices {
            guard case .texts(let place) = batch[index].kind else { continue }
            batch[index].interner = TextCodes()
            dictionaries.forgetGlobalCodes(column: place)
        }
    }

    /// The texts of all codes so far. A later batch may have more, but none changes.
    package var texts: PurchaseTexts {
        func values(_ role: Int) -> TextArray? {
            columns.textPlaces[role].flatMap { place in
                batch.first {
                    if case .texts(place) = $0.kind { true } else { false }
                }?.interner.values
            }
        }
        return PurchaseTexts(
            orderIDs: values(0), products: values(1), categories: values(2),
            promotions: values(3), channels: values(4))
    }

    /// The next `lineCount` accepted lines and up to a piece's more, or what is left; nil at the
    /// end. Their `CodedText` columns have codes only: what they mean is in `texts`.
    /// - Parameter byteCount: fewer come, as many as are read at once, where they and the texts of
    ///   the codes take so much.
    /// - Throws: `IngestError` where the file cannot be read, or a column has too many texts.
    package func nextBatch(
        lineCount: Int = 1 << 20, byteCount: Int = .max
    ) throws(IngestError) -> PurchaseLines? {
        var rowCount = 0
        while rowCount < lineCount, rowCount == 0 || batchByteCount < byteCount {
            if readyIndex == ready.count {
                spare.append(contentsOf: ready)
                ready.removeAll(keepingCapacity: true)
                readyIndex = 0
                if isAtEnd { break }
                try readRound()
                onProgress?(progress)
                continue
            }
            if rowCount == 0 { reserve(lineCount) }
            let first = readyIndex
            while readyIndex < ready.count, rowCount < lineCount {
                rowCount += ready[readyIndex].columns.count
                readyIndex += 1
            }
            merge(ready[first..<readyIndex])
            for column in batch where column.isFull {
                guard case .texts(let place) = column.kind else { continue }
                throw .tooManyDistinctTexts(
                    path: source.path, column: columns.layout.label(columns.textIndices[place]),
                    limit: Limits.distinctTextCount)
            }
        }
        return rowCount == 0 ? nil : takeBatch()
    }

    /// Takes the memory of a batch that is no longer needed, for a later one: the first touch of fresh
    /// memory costs as much as a good part of the reading. Does nothing where it is held elsewhere.
    package func recycle(_ lines: consuming PurchaseLines) {
        func give<Value>(_ values: inout [Value], to target: inout [Value]) {
            guard target.isEmpty, target.capacity < values.capacity else { return }
            swap(&values, &target)
            values = []
            target.removeAll(keepingCapacity: true)
        }
        for index in batch.indices {
            switch batch[index].kind {
            case .times: give(&lines.times, to: &batch[index].integers)
            case .amounts: give(&lines.amounts, to: &batch[index].integers)
            case .margins:
                guard var values = lines.margins else { continue }
                lines.margins = nil
                give(&values, to: &batch[index].integers)
            case .quantities:
                guard var values = lines.quantities else { continue }
                lines.quantities = nil
                give(&values, to: &batch[index].floats)
            case .integerIDs:
                guard case .integers(var values) = lines.customerIDs else { continue }
                lines.customerIDs = .integers([])
                give(&values, to: &batch[index].integers)
            case .contentHash, .textIDs, .texts: continue
            }
        }
    }

    /// What the file came to. Reads what is left of it, if anything.
    /// - Throws: `changedWhileRead`, `noLines`, and `tooManyRejects` for more than the mapping
    ///   allows.
    package func finish() throws(IngestError) -> IngestReport {
        while try nextBatch() != nil {}
        try source.checkUnchanged()
        merge([])
        let hasher = batch[0].hasher
        return try file.report(byteCount: hasher.byteCount, contentHash: hasher.value)
    }

    /// Adds results to the batch, and the last round's bytes to the hash.
    private func merge(_ results: ArraySlice<PieceResult>) {
        let bytes = pieces[..<unhashedCount]
        unhashedCount = 0
        let dictionaries = dictionaries
        var scratches = [Int](repeating: 0, count: readers.count)
        parallelFor(&batch, scratches: &scratches) { column, _ in
            column.append(bytes)
            for result in results { column.append(result, dictionaries) }
        }
    }

    /// The batch of a file without accepted lines.
    var noLines: PurchaseLines { takeBatch() }

    /// Lines that are in no batch yet, at most.
    package var mostLinesLeft: Int {
        // A line has two bytes a field at least; a piece more than asked for may come.
        let left = max((source.byteCount ?? .max / 2) - nextPiece, 0) + pieceSpan
        return left / (2 * columns.layout.fieldCount) + 1
    }

    private func reserve(_ lineCount: Int) {
        let room = min(mostLinesLeft, lineCount < .max / 2 ? lineCount + lineCount / 16 : 0)
        for index in batch.indices { batch[index].reserve(room) }
    }

    private var batchByteCount: Int { batch.reduce(0) { $0 + $1.byteCount } }

    private var pieceSpan: Int { pieces.count * plan.pieceByteCount }

    private func takeBatch() -> PurchaseLines {
        var lines = PurchaseLines(customerIDs: .integers([]), times: [], amounts: [])
        var codes: [CodedText?] = []
        for index in batch.indices {
            switch batch[index].kind {
            case .integerIDs: lines.customerIDs = .integers(taken(&batch[index].integers))
            case .textIDs:
                let bytes = taken(&batch[index].bytes)
                let offsets = taken(&batch[index].offsets)
                batch[index].offsets = [0]
                lines.customerIDs = .texts(
                    TextArray(bytes: bytes, offsets: offsets) ?? TextArray())
            case .times: lines.times = taken(&batch[index].integers)
            case .amounts: lines.amounts = taken(&batch[index].integers)
            case .margins: lines.margins = taken(&batch[index].integers)
            case .quantities: lines.quantities = taken(&batch[index].floats)
            case .contentHash: break
            case .texts: codes.append(CodedText(codes: taken(&batch[index].codes)))
            }
        }
        func text(_ role: Int) -> CodedText? { columns.textPlaces[role].flatMap { codes[$0] } }
        lines.orderIDs = text(0)
        lines.products = text(1)
        lines.categories = text(2)
        lines.promotions = text(3)
        lines.channels = text(4)
        return lines
    }

    private func taken<Value>(_ values: inout [Value]) -> [Value] {
        var result: [Value] = []
        swap(&result, &values)
        return result
    }
}

// How pieces are read and joined.
extension PurchaseStream {
    /// Reads as many pieces as there are, and makes their results ready in file order.
    private func readRound() throws(IngestError) {
        if unhashedCount > 0 { merge([]) }
        dictionaries.forgetWhereLarge()
        let pieceByteCount = plan.pieceByteCount
        let tailByteCount = tailByteCount
        let source = source
        for index in pieces.indices {
            pieces[index].offset = nextPiece + index * pieceByteCount
            let start = nextStart - pieces[index].offset
            pieces[index].start =
                index == 0 && start >= 0 && start <= pieceByteCount ? start : nil
            if !source.isConcurrent {
                pieces[index].fill(source, pieceByteCount, tail: tailByteCount)
            }
        }
        var tasks = pieces.map(RoundTask.read)
        // What takes longest comes first.
        let nextEnd = nextPiece + 2 * pieceSpan + tailByteCount
        if !source.isConcurrent, readers.count > 1 { tasks.insert(.readAhead, at: 0) }
        parallelFor(&tasks, scratches: &readers) { task, reader in
            switch task {
            case .readAhead: source.readAhead(to: nextEnd)
            case .read(var piece):
                if source.isConcurrent { piece.fill(source, pieceByteCount, tail: tailByteCount) }
                piece.read(reader, pieceByteCount)
                task = .read(piece)
            }
        }
        pieces.removeAll(keepingCapacity: true)
        for case .read(let piece) in tasks { pieces.append(piece) }
        for index in pieces.indices where !isAtEnd {
            let piece = pieces[index]
            guard piece.failure == 0 else { throw source.error(piece.failure) }
            nextPiece += piece.ownCount
            unhashedCount = index + 1
            try accept(index)
            if piece.ownCount < pieceByteCount { isAtEnd = true }
        }
        source.release(before: min(nextStart, nextPiece))
    }

    /// Makes the records of a piece ready: those that its thread found where it started at the
    /// right place, else they are read here.
    private func accept(_ index: Int) throws(IngestError) {
        let piece = pieces[index]
        let buffer = piece.buffer
        let last = piece.offset + plan.pieceByteCount
        let end = piece.offset + buffer.count
        if isSkippingLine, !findLineEnd(buffer) { return }
        if piece.isRead, piece.result.start == nextStart {
            pieces[index].result = spareResult()
            try take(piece.result)
        }
        while nextStart <= last, nextStart < end || !buffer.reachesEnd {
            let result = spareResult()
            mender.read(
                buffer, from: nextStart - piece.offset, lastStart: plan.pieceByteCount,
                into: result)
            let needsMore = result.needsMore
            try take(result)
            guard needsMore else { continue }
            let start = nextStart
            try readLongRecord()
            if nextStart == start, !isSkippingLine {
                // The file has become shorter meanwhile: what was read of it is what it is.
                isAtEnd = true
                return
            }
            if isSkippingLine, !findLineEnd(buffer) { return }
        }
    }

    /// Reads the record at `nextStart`, which its piece has not all of, from a window that grows
    /// until it has.
    private func readLongRecord() throws(IngestError) {
        let most = plan.recordLimits.lineByteCount + 64
        var wanted = 4 * (plan.pieceByteCount + tailByteCount)
        while true {
            wanted = min(wanted, most)
            let failure = window.fill(source, at: nextStart, wanted: wanted)
            guard failure == 0 else { throw source.error(failure) }
            let result = spareResult()
            if mender.readOne(window, into: result) { return try take(result) }
            if wanted == most {
                mender.rejectLongLine(window, into: result)
                try take(result)
                isSkippingLine = true
                return
            }
            spare.append(result)
            wanted *= 4
        }
    }

    /// Looks for the end of the line that is too long among a piece's own bytes.
    private func findLineEnd(_ buffer: TextBuffer) -> Bool {
        let count = min(buffer.count, plan.pieceByteCount)
        let start = max(nextStart - buffer.offset, 0)
        let found = buffer.firstLineFeed(in: min(start, count)..<count)
        isSkippingLine = found == nil
        nextStart = max(nextStart, buffer.offset + (found.map { $0 + 1 } ?? count))
        return found != nil
    }

    private func take(_ result: PieceResult) throws(IngestError) {
        try file.add(result.tally, result.rejects, firstLine: nextLine)
        // A result waits for its round: only few may hold what is written already.
        result.rejects = RejectRows()
        nextStart = result.end
        nextLine += result.physicalLineCount
        if result.columns.count > 0 {
            ready.append(result)
        } else {
            spare.append(result)
        }
    }

    private func spareResult() -> PieceResult {
        spare.popLast() ?? PieceResult(textColumnCount: columns.textIndices.count)
    }
}

/// What a thread does in a round.
private enum RoundTask: Sendable {
    case read(FilePiece)
    /// The bytes of the next round.
    case readAhead
}
