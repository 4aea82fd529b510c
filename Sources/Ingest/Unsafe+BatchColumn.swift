// Why unsafe: whole columns of pieces are copied from their memory into arrays. The counts are those
// that the piece's reader kept.

import ByteCoding
import Numerical

/// One column of a batch while pieces are added to it in file order, or the hash of the file. Each is
/// added to by one thread at a time, and they do not depend on one another.
struct BatchColumn: @unchecked Sendable {
    enum Kind: Sendable {
        case amounts
        case contentHash
        case integerIDs
        case margins
        case quantities
        case textIDs
        /// The column's place among the mapped texts.
        case texts(Int)
        case times
    }

    let kind: Kind
    var integers: [Int64] = []
    var floats: [Float] = []
    var codes: [UInt32] = []
    var bytes: [UInt8] = []
    var offsets: [Int] = [0]
    /// The stream's dictionary of this column.
    var interner = TextCodes()
    /// More distinct texts than codes can say.
    private(set) var isFull = false
    private(set) var hasher = ContentHasher()

    init(_ kind: Kind) { self.kind = kind }

    /// Bytes of a line but for those of a text id.
    var lineByteCount: Int {
        switch kind {
        case .amounts, .integerIDs, .margins, .textIDs, .times: 8
        case .quantities, .texts: 4
        case .contentHash: 0
        }
    }

    /// Bytes of the lines so far and of the texts that codes mean.
    var byteCount: Int {
        8 * (integers.count + offsets.count) + 4 * (floats.count + codes.count) + bytes.count
            + interner.byteCount
    }

    /// Makes room for the lines of a batch.
    mutating func reserve(_ rowCount: Int) {
        switch kind {
        case .amounts, .integerIDs, .margins, .times: integers.reserveLargePages(rowCount)
        case .quantities: floats.reserveLargePages(rowCount)
        case .textIDs: offsets.reserveCapacity(rowCount + 1)
        case .texts: codes.reserveLargePages(rowCount)
        case .contentHash: break
        }
    }

    /// Adds the bytes of pieces, as many of each as are its own, where this is the hash.
    mutating func append(_ bytes: ArraySlice<FilePiece>) {
        guard case .contentHash = kind else { return }
        for piece in bytes {
            hasher.add(piece.buffer.span.extracting(first: piece.ownCount).bytes)
        }
    }

    /// Adds the lines of a piece.
    mutating func append(_ piece: PieceResult, _ dictionaries: DictionaryMemory) {
        let rows = piece.columns
        func values<Value>(_ base: UnsafeMutablePointer<Value>) -> UnsafeBufferPointer<Value> {
            UnsafeBufferPointer(start: base, count: rows.count)
        }
        switch kind {
        case .contentHash: break
        case .amounts: integers.append(contentsOf: values(rows.amounts))
        case .integerIDs: integers.append(contentsOf: values(rows.ids))
        case .margins: integers.append(contentsOf: values(rows.margins))
        case .times: integers.append(contentsOf: values(rows.times))
        case .quantities: floats.append(contentsOf: values(rows.quantities))
        case .textIDs:
            let start = bytes.count
            bytes.append(
                contentsOf: UnsafeBufferPointer(start: rows.idText, count: rows.idTextCount))
            for end in values(rows.ids) { offsets.append(start + Int(end)) }
        case .texts(let place):
            let target = rows.codes + place * rows.capacity
            translate(
                target, rows.count, piece.newCodes[place],
                &dictionaries.tables[piece.workerIndex][place])
            codes.append(contentsOf: values(target))
        }
    }

    /// Replaces a thread's codes by the stream's, which are given in the order of the lines whatever
    /// thread read them.
    private mutating func translate(
        _ codes: UnsafeMutablePointer<UInt32>, _ count: Int, _ newCodes: Range<Int>,
        _ dictionary: inout TextDictionary
    ) {
        // Codes that only a discarded reading of a piece gave out have no place in the order yet.
        while dictionary.globalCodes.count < newCodes.lowerBound {
            dictionary.globalCodes.append(CodedText.missing)
            dictionary.hasGaps = true
        }
        if dictionary.hasGaps {
            while dictionary.globalCodes.count < newCodes.upperBound {
                dictionary.globalCodes.append(CodedText.missing)
            }
            for row in 0..<count where codes[row] != CodedText.missing {
                let code = Int(codes[row])
                if dictionary.globalCodes[code] == CodedText.missing {
                    dictionary.globalCodes[code] = globalCode(dictionary, code)
                }
            }
        } else {
            addCodes(dictionary.globalCodes.count..<newCodes.upperBound, &dictionary)
        }
        dictionary.globalCodes.withUnsafeBufferPointer { global in
            for row in 0..<count where codes[row] != CodedText.missing {
                codes[row] = global[Int(codes[row])]
            }
        }
    }

    /// Gives the stream's codes to texts that come one after the other. They are looked for in
    /// memory that no cache holds where there are many: each is asked for some texts ahead.
    private mutating func addCodes(_ codes: Range<Int>, _ dictionary: inout TextDictionary) {
        let lead = 16
        var hashes = [UInt64](repeating: 0, count: lead)
        for code in codes.lowerBound..<max(codes.upperBound + lead, codes.lowerBound) {
            let place = code % lead
            if code - lead >= codes.lowerBound {
                let earlier = code - lead
                let known = dictionary.withText(earlier) {
                    interner.code($0, from: 0, to: $0.count, hash: hashes[place])
                }
                if known == nil { isFull = true }
                dictionary.globalCodes.append(known ?? 0)
            }
            guard code < codes.upperBound else { continue }
            hashes[place] = dictionary.withText(code) {
                TextCodes.hash($0, from: 0, to: $0.count)
            }
            interner.prefetch(hashes[place])
        }
    }

    private mutating func globalCode(_ dictionary: TextDictionary, _ code: Int) -> UInt32 {
        let known = dictionary.withText(code) { interner.code($0, from: 0, to: $0.count) }
        if known == nil { isFull = true }
        return known ?? 0
    }
}
