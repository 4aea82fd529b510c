import ByteCoding
import Ingest
import Numerical
import Testing

/// Seeded: what is written is read back, and no bytes make the reader crash or contradict itself.
@Suite struct PropertyTests {
    /// Random fields of delimiters, quotes, line ends, blanks and letters, quoted where they need
    /// it, come back as they were, whatever the line end.
    @Test(arguments: [Delimiter.comma, .semicolon, .tab, .blanks], [1, 2, 3] as [UInt64])
    func writtenAndReadBack(_ delimiter: Delimiter, _ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let separator =
            switch delimiter {
            case .comma: ","
            case .semicolon: ";"
            case .tab: "\t"
            case .blanks: " \t "
            }
        let pieces = [",", ";", "\t", "\"", "\n", "\r\n", "\r", " ", "a", "bc", "é", "茶", "=", "0"]
        let lineEnd = seed % 2 == 0 ? "\n" : "\r\n"
        let columnCount = 5
        var expected: [[String]] = []
        var text = (0...columnCount).map { "c\($0)" }.joined(separator: separator) + lineEnd
        for row in 0..<400 {
            var fields: [String] = []
            for _ in 0..<columnCount {
                let count = random.below(6)
                fields.append((0..<count).map { _ in pieces[random.below(pieces.count)] }.joined())
            }
            expected.append(fields)
            let written = fields.map { field in
                let isPlain =
                    !field.isEmpty && field.utf8.allSatisfy { !",;\t\"\n\r ".utf8.contains($0) }
                if isPlain && random.below(3) > 0 { return field }
                let doubled = field.split(separator: "\"", omittingEmptySubsequences: false)
                return "\"" + doubled.joined(separator: "\"\"") + "\""
            }
            text += (["\(row)"] + written).joined(separator: separator)
            if row < 399 || seed != 3 { text += lineEnd }
        }
        let mapping = EntityMapping(
            format: TextFormat(delimiter: delimiter), id: IDReference(.name("c0")),
            attributes: (1...columnCount).map {
                AttributeMapping(name: "c\($0)", column: .name("c\($0)"), kind: .text)
            })
        let bytes = Array(text.utf8)
        let (table, report) = try readEntities(bytes, path: "e.csv", mapping: mapping)
        #expect(report.acceptedCount == 400, "seed \(seed)")
        for (place, column) in table.columns.enumerated() {
            guard case .text(let values) = column.values else { continue }
            for row in 0..<min(400, values.count) {
                // Blanks at the ends do not count, and nothing is missing.
                let wanted = trimmingBlanks(expected[row][place])
                #expect(values[row] ?? "" == wanted, "seed \(seed) row \(row) column \(place)")
            }
        }
    }

    /// Bytes that are likely to matter, in random order: the reader returns, its counts add up, and
    /// it says the same twice.
    @Test(arguments: [Delimiter.comma, .semicolon, .tab, .blanks])
    func randomBytes(_ delimiter: Delimiter) {
        var random = SeededRandom(seed: 11, stream: UInt64(delimiter.byteForTests))
        let alphabet =
            Array("\"\"\",,;\t  \r\n\n\n-+.eE0123456789/:TZabc".utf8) + [0, 0x80, 0xC3, 0xA9, 0xFF]
        for round in 0..<1_500 {
            var bytes = Array("c\(delimiter.text)t\(delimiter.text)a\n".utf8)
            if round % 3 == 0 { bytes = [] }
            for _ in 0..<random.below(300) {
                bytes.append(
                    round % 2 == 0
                        ? alphabet[random.below(alphabet.count)] : UInt8(random.below(256)))
            }
            check(bytes, delimiter, "round \(round)")
        }
    }

    /// A small file cut at every byte, and with every single bit flipped.
    @Test func truncatedAndFlipped() {
        let file = Array(
            "\u{FEFF}c,t,a\r\n\"x, \"\"y\"\"\",2011-01-01T08:00:00+01:00,1.5e1\r\nü,2011-01-01,-2"
                .utf8)
        for count in 0...file.count { check(Array(file[..<count]), .comma, "first \(count)") }
        for bit in 0..<file.count * 8 {
            var flipped = file
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            check(flipped, .comma, "bit \(bit)")
        }
    }

    private func check(_ bytes: [UInt8], _ delimiter: Delimiter, _ comment: Comment) {
        var mapping = PurchaseMapping(
            format: TextFormat(
                delimiter: delimiter, hasHeader: false, maximumRejectShare: 1),
            customerID: IDReference(.number(1)), time: TimeReference(.number(2)),
            amount: .amount(.number(3)))
        mapping.product = .number(1)
        for hasHeader in [false, true] {
            mapping.format.hasHeader = hasHeader
            guard let (lines, report) = try? read(bytes, mapping) else { continue }
            #expect(
                report.lineCount
                    == report.acceptedCount + report.rejectedCount + report.setAsideCount, comment)
            #expect(lines.count == report.acceptedCount, comment)
            #expect(lines.customerIDs.count == lines.count, comment)
            #expect(lines.products?.count == lines.count, comment)
            let again = try? read(bytes, mapping)
            #expect(again?.lines == lines && again?.report == report, comment)
            for row in 0..<lines.count {
                #expect(!lines.customerIDs[row].description.isEmpty, comment)
                #expect(!lines.customerIDs[row].description.contains("\u{FFFD}"), comment)
            }
        }
    }

    private func trimmingBlanks(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        let start = bytes.firstIndex { !isBlank($0) } ?? bytes.count
        let end = bytes.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? start
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }
}

extension Delimiter {
    fileprivate var text: String {
        switch self {
        case .comma: ","
        case .semicolon: ";"
        case .tab: "\t"
        case .blanks: " "
        }
    }

    fileprivate var byteForTests: UInt8 { text.utf8.first ?? 0 }
}
