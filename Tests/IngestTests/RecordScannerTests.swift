import Ingest
import Testing

@Suite struct RecordScannerTests {
    private var header: String { "customer,time,amount,product\n" }

    private var mapping: PurchaseMapping {
        var mapping = lenientMapping
        mapping.product = .name("product")
        return mapping
    }

    private func products(_ body: String) throws -> [String?] {
        let (lines, _) = try read(header + body, mapping)
        let products = try #require(lines.products)
        return (0..<products.count).map { products[$0] }
    }

    @Test(arguments: [
        ("a,2011-01-01,1,tea", "tea"),  // no final newline
        ("a,2011-01-01,1,tea\r", "tea"),
        ("a,2011-01-01,1,tea\r\n", "tea"),
        ("a,2011-01-01,1, \ttea \t\n", "tea"),
        ("\n\r\n\na,2011-01-01,1,tea\n\n\r\n", "tea"),
        (#"a,2011-01-01,1,"tea""#, "tea"),
        ("a,2011-01-01,1,\"tea\"\r", "tea"),
        ("a,2011-01-01,1,\"tea\"\r\n", "tea"),
        (#""a","2011-01-01","1","tea, ""green"" & 'black'""# + "\n", #"tea, "green" & 'black'"#),
        ("a,2011-01-01,1,\"two\nlines\"\n", "two\nlines"),
        ("a,2011-01-01,1,\"two\r\nlines\"\r\n", "two\r\nlines"),
        (#"a,2011-01-01,1,6" plate"# + "\n", #"6" plate"#),
        (#"a,2011-01-01,1, "tea""# + "\n", #""tea""#),
        (#"a,2011-01-01,1,"""""# + "\n", "\""),
        ("a,2011-01-01,1,Ünïcödé 茶 🍵\n", "Ünïcödé 茶 🍵"),
    ])
    func oneRecord(_ body: String, _ product: String) throws {
        #expect(try products(body) == [product])
    }

    @Test(arguments: [
        "a,2011-01-01,1,\n", "a,2011-01-01,1,", "a,2011-01-01,1,\"\"\r\n",
        "a,2011-01-01,1,  \r",
    ])
    func emptyLastField(_ body: String) throws {
        #expect(try products(body) == [nil])
    }

    @Test func byteOrderMark() throws {
        let (lines, _) = try read("\u{FEFF}customer,time,amount\na,2011-01-01,1\n")
        #expect(lines.count == 1)
        let (quoted, _) = try read("\u{FEFF}\"customer\",time,amount\na,2011-01-01,1\n")
        #expect(quoted.count == 1)
    }

    @Test(arguments: [(Delimiter.semicolon, ";"), (.tab, "\t"), (.comma, ","), (.blanks, " ")])
    func delimiters(_ delimiter: Delimiter, _ text: String) throws {
        var mapping = plainMapping
        mapping.format.delimiter = delimiter
        let rows = [["customer", "time", "amount"], ["a", "2011-01-01", "1.5"]]
        let file = rows.map { $0.joined(separator: text) }.joined(separator: "\r\n")
        let (lines, _) = try read(file, mapping)
        #expect(lines.amounts == [15_000])
    }

    @Test func blanks() throws {
        var mapping = lenientMapping
        mapping.format = TextFormat(delimiter: .blanks, hasHeader: false, maximumRejectShare: 1)
        mapping.customerID.column = .number(1)
        mapping.time = TimeReference(.number(2), format: .yearMonthDay)
        mapping.amount = .amount(.number(3))
        mapping.product = .number(4)
        let (lines, report) = try read(
            "  a \t 20110101   1 tea\r\n\t\n   \r\n b 20110101 2 \"green tea\" \r\n"
                + "c 20110101 3\nd\t20110101\t4\ttea  \t", mapping)
        #expect(ids(lines.customerIDs) == ["a", "b", "d"])
        #expect(lines.products?.values.strings == ["tea", "green tea"])
        #expect(lines.products?.codes == [0, 1, 0])
        #expect(report.reasonCounts == [.wrongFieldCount: 1])
        #expect(report.lineCount == 4)
    }

    /// One stray quote costs its own line, wherever the next quote comes.
    @Test(arguments: [
        "a,2011-01-01,1,\"tea\nb,2011-01-01,1,tea\nc,2011-01-01,1,tea\n",
        "a,2011-01-01,1,\"tea\nb,2011-01-01,1,\"tea\"\nc,2011-01-01,1,tea\n",
        "a,2011-01-01,1,\"tea\nb,2011-01-01,1,6\" plate\nc,2011-01-01,1,tea\n",
        "a,2011-01-01,1,\"tea\r\nb,2011-01-01,1,tea\r\nc,2011-01-01,1,\"\"",
        "a,\"2011-01-01,1,tea\nb,2011-01-01,1,\"tea\"\nc,2011-01-01,1,tea\n",
        "a,\"2011-01-01,1,tea\nb,2011-01-01,1,tea\nc,2011-01-01,1,tea",
    ])
    func unterminatedQuote(_ body: String) throws {
        let (lines, report) = try read(header + body, mapping)
        #expect(report.reasonCounts == [.unterminatedQuote: 1])
        #expect(ids(lines.customerIDs) == ["b", "c"])
    }

    /// A quote that closes within a plausible record cannot be told from one that is meant: the
    /// field count decides.
    @Test func joinedLinesNeedTheFieldCount() throws {
        let (lines, report) = try read(
            header + "a,2011-01-01,1,\"tea\nb,2011-01-01,1,\"\nc,2011-01-01,1,tea\n", mapping)
        #expect(ids(lines.customerIDs) == ["a", "c"])
        #expect(report.rejectedCount == 0)
    }

    @Test func malformedQuote() throws {
        let (lines, report) = try read(
            header + "a,2011-01-01,1,\"tea\"x\nb,2011-01-01,\"1\" ,tea\nc,2011-01-01,1,tea\n",
            mapping)
        #expect(ids(lines.customerIDs) == ["c"])
        #expect(report.reasonCounts == [.malformedQuote: 2])
    }

    @Test func badBytesCostTheirLine() throws {
        let bad: [[UInt8]] = [
            [0xFF], [0xC0, 0x80], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80],
            [0xF4, 0x90, 0x80, 0x80],
            [0x80], [0xF0, 0x80, 0x80, 0x80], [0xA3, 0x35],
        ]
        for bytes in bad {
            var file = Array((header + "a,2011-01-01,1,tea").utf8) + bytes
            file += Array("\nb,2011-01-01,1,tea\n".utf8)
            let (lines, report) = try read(file, mapping)
            #expect(ids(lines.customerIDs) == ["b"])
            #expect(report.reasonCounts == [.invalidUTF8: 1], "\(bytes)")
        }
        let (lines, report) = try read(
            header + "a,2011-01-01,1,t\0a\nb,2011-01-01,1,tea\0\nc,2011-01-01,1,tea", mapping)
        #expect(ids(lines.customerIDs) == ["c"])
        #expect(report.reasonCounts == [.nulByte: 2])
    }

    @Test func longLines() throws {
        // 16 MiB and one byte more, once in one field and once in a quoted one of many lines.
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: (16 << 20) + 1)
        var file = Array((header + "a,2011-01-01,1,").utf8) + long
        file += Array("\nb,2011-01-01,1,\"".utf8) + long + Array("\"\nc,2011-01-01,1,tea\n".utf8)
        let (lines, report) = try read(file, mapping)
        #expect(ids(lines.customerIDs) == ["c"])
        #expect(report.reasonCounts == [.lineTooLong: 2])
    }

    @Test func longFields() throws {
        let text = String(repeating: "x", count: 65_537)
        let id = String(repeating: "y", count: 1_025)
        let (lines, report) = try read(
            header + "a,2011-01-01,1,\(text)\n\(id),2011-01-01,1,tea\nc,2011-01-01,1,"
                + text.dropLast() + "\n\(id.dropLast()),2011-01-01,1,tea\n", mapping)
        #expect(lines.count == 2)
        #expect(report.reasonCounts == [.textTooLong: 1, .invalidID: 1])
    }

    @Test func manyFields() throws {
        let (lines, report) = try read(
            header + String(repeating: ",", count: 100_000) + "\na,2011-01-01,1,tea\n", mapping)
        #expect(lines.count == 1)
        #expect(report.reasonCounts == [.wrongFieldCount: 1])
    }
}
