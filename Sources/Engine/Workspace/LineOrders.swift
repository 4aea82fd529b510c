import ByteCoding
import ColumnStore

/// The order ids of lines, as codes of the blocks that they are stored in.
///
/// Orders matter within a customer alone, and nearly all customers have all their lines in one
/// block, whose codes tell its texts apart. So texts are compared for the customers alone who have
/// lines in several: most order ids are never hashed, which would take longer than to decode them.
struct LineOrders: Sendable {
    /// One a line; the codes of block `i` are `bases[i] ..< bases[i + 1]`, the last ones those up
    /// to `codeCount`.
    var codes: [UInt32] = []
    private var bases: [Int] = []
    private var blocks: [TextArray] = []
    private(set) var codeCount = 0

    /// Adds the texts of a block.
    mutating func append(_ texts: TextArray) {
        bases.append(codeCount)
        blocks.append(texts)
        codeCount += texts.count
    }

    /// Adds the blocks of other lines.
    /// - Returns: the other lines' codes among all blocks.
    mutating func append(_ other: LineOrders) -> [UInt32] {
        let base = UInt32(codeCount)
        for texts in other.blocks { append(texts) }
        if base == 0 { return other.codes }
        return other.codes.map { $0 == CodedText.missing ? $0 : base + $0 }
    }

    /// The lines as a column of texts, of which several blocks may have the same.
    var column: CodedText {
        var texts = TextArray()
        for block in blocks { texts.append(contentsOf: block) }
        return CodedText(codes: codes, values: texts)
    }

    /// Gives equal texts of one customer equal codes.
    /// - Parameter lineOffsets: where the lines of each customer start, and their end.
    mutating func matchTexts(lineOffsets: [Int]) {
        guard blocks.count > 1 else { return }
        var interner = TextInterner()
        /// The code of every text met, by its number.
        var codeOfNumber: [UInt32] = []
        var range = 0..<0
        for row in 0..<lineOffsets.count - 1 {
            let lines = lineOffsets[row]..<lineOffsets[row + 1]
            guard let first = codes[lines].first(where: { $0 != CodedText.missing }) else {
                continue
            }
            if !range.contains(Int(first)) { range = codeRange(ofBlock: block(of: first)) }
            let isInOneBlock = codes[lines].allSatisfy {
                $0 == CodedText.missing || range.contains(Int($0))
            }
            if isInOneBlock { continue }
            if lines.count <= Self.comparedLineCount {
                matchTexts(ofLines: lines)
                continue
            }
            for line in lines where codes[line] != CodedText.missing {
                let block = block(of: codes[line])
                let number = Int(
                    interner.number(of: blocks[block], Int(codes[line]) - bases[block]))
                if number == codeOfNumber.count { codeOfNumber.append(codes[line]) }
                codes[line] = codeOfNumber[number]
            }
        }
    }

    /// Customers of no more lines have their texts compared, which is faster than to number them all.
    private static let comparedLineCount = 64

    /// Gives equal texts of a customer the code of the first of them.
    private mutating func matchTexts(ofLines lines: Range<Int>) {
        for line in lines where codes[line] != CodedText.missing {
            let code = Int(codes[line])
            let range = codeRange(ofBlock: block(of: codes[line]))
            for other in lines.lowerBound..<line {
                // Texts of one block are equal where their codes are.
                guard codes[other] != CodedText.missing, !range.contains(Int(codes[other])),
                    areEqual(code, Int(codes[other]))
                else { continue }
                codes[line] = codes[other]
                break
            }
        }
    }

    private func areEqual(_ code: Int, _ other: Int) -> Bool {
        let (first, second) = (block(of: UInt32(code)), block(of: UInt32(other)))
        let (a, b) = (code - bases[first], other - bases[second])
        let (x, y) = (blocks[first].offsets[a], blocks[second].offsets[b])
        let count = blocks[first].offsets[a + 1] - x
        guard count == blocks[second].offsets[b + 1] - y else { return false }
        // From the end: ids that begin alike are many.
        for i in (0..<count).reversed()
        where blocks[first].bytes[x + i] != blocks[second].bytes[y + i] { return false }
        return true
    }

    private func codeRange(ofBlock block: Int) -> Range<Int> {
        bases[block]..<(block + 1 < bases.count ? bases[block + 1] : codeCount)
    }

    /// The last block whose codes start at or before one; those without texts have no code.
    private func block(of code: UInt32) -> Int {
        var (low, high) = (0, bases.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if bases[middle] <= Int(code) { low = middle } else { high = middle }
        }
        return low
    }
}
