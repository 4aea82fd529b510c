import ColumnStore
import Foundation
import Ingest
import Testing
import Units

/// Files that cannot be read at all, and what the user is told.
@Suite struct IngestErrorTests {
    private func message(_ text: String, _ mapping: PurchaseMapping = plainMapping) -> String {
        error(text, mapping)?.description ?? "no error"
    }

    @Test func missingFile() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("none.csv").path
            #expect(throws: IngestError.missingFile(path: path)) {
                _ = try readPurchases(path: path, mapping: plainMapping, clock: .utc)
            }
            #expect(throws: IngestError.missingFile(path: path)) {
                _ = try readEntities(
                    path: path, mapping: EntityMapping(id: IDReference(.number(1))))
            }
            #expect(IngestError.missingFile(path: path).description.hasPrefix(path))
        }
    }

    @Test func folderInsteadOfFile() throws {
        try withTemporaryFolder { folder in
            #expect(
                throws: IngestError.system(
                    SystemError(code: EISDIR, operation: "read", path: folder.path))
            ) {
                _ = try readPurchases(path: folder.path, mapping: plainMapping, clock: .utc)
            }
        }
    }

    @Test func fileOnDisk() throws {
        try withTemporaryFolder { folder in
            // Longer than one piece of a pipe, so that the read loop turns more than once.
            let file = folder.appendingPathComponent("sales.csv")
            let body = String(repeating: "a,2011-01-01,1\n", count: 20_000)
            try Data("customer,time,amount\n\(body)".utf8).write(to: file)
            let (lines, report) = try readPurchases(
                path: file.path, mapping: plainMapping, clock: .utc)
            #expect(lines.count == 20_000)
            #expect(report.path == file.path)
            #expect(report.byteCount == 21 + body.utf8.count)
        }
    }

    @Test func emptyAndHeaderOnly() {
        #expect(error("") == .emptyFile(path: "sales.csv"))
        #expect(error("\u{FEFF}") == .noLines(path: "sales.csv"))
        #expect(error("\n\n") == .noLines(path: "sales.csv"))
        #expect(error("customer,time,amount") == .noLines(path: "sales.csv"))
        #expect(error("customer,time,amount\r\n\r\n") == .noLines(path: "sales.csv"))
    }

    @Test func wrongDelimiter() {
        let text = "customer;time;amount\na;2011-01-01;1\n"
        #expect(
            error(text)
                == .wrongDelimiter(
                    path: "sales.csv", role: "customerID", column: .name("customer"),
                    mapped: .comma, likely: .semicolon, firstLine: "customer;time;amount"))
        #expect(
            message(text)
                == "sales.csv: customerID: column `customer` not found; with the delimiter comma "
                + "the first line is one column, `customer;time;amount`: "
                + "is the delimiter semicolon?"
        )
        #expect(message("customer\ttime\tamount\n").hasSuffix("is the delimiter tab?"))
        #expect(message("customer  time amount\n").hasSuffix("is the delimiter blanks?"))
        var mapping = plainMapping
        mapping.format.delimiter = .blanks
        #expect(
            message("customer,time,amount\n", mapping).hasSuffix("is the delimiter comma?"))
        // No header: by how many fields another delimiter gives.
        mapping = PurchaseMapping(
            format: TextFormat(hasHeader: false), customerID: IDReference(.number(1)),
            time: TimeReference(.number(2)), amount: .amount(.number(3)))
        #expect(message("a;2011-01-01;1\n", mapping).hasSuffix("is the delimiter semicolon?"))
        #expect(message("a 20110101  1\n", mapping).hasSuffix("is the delimiter blanks?"))
    }

    @Test func unknownColumn() {
        let text = "Customer,time,amout\na,2011-01-01,1\n"
        #expect(
            message(text)
                == "sales.csv: customerID: column `customer` not found; the header has "
                + "`Customer`, `time`, `amout`; did you mean `Customer`?")
        var mapping = plainMapping
        mapping.customerID.column = .name("Customer")
        #expect(message(text, mapping).hasSuffix("did you mean `amout`?"))
        mapping.amount = .amount(.name("revenue"))
        #expect(message(text, mapping).hasSuffix("the header has `Customer`, `time`, `amout`"))
        mapping.amount = .amount(.number(4))
        #expect(
            message(text, mapping)
                == "sales.csv: amount: column number 4 not found; the first line has 3 columns, "
                + "numbered from 1")
        mapping.amount = .amount(.number(0))
        #expect(message(text, mapping).contains("number 0 not found"))
        mapping.format.hasHeader = false
        #expect(message(text, mapping).hasSuffix("refer to columns by number"))
    }

    @Test func ambiguousColumn() {
        #expect(
            error("time,customer,time,amount\n")
                == .ambiguousColumn(
                    path: "sales.csv", role: "time", column: "time", numbers: [1, 3]))
    }

    @Test func notText() {
        #expect(
            error([0xFF, 0xFE, 0x61, 0x00]) == .notText(path: "sales.csv", what: "UTF-16"))
        #expect(
            error([0x50, 0x4B, 3, 4])
                == .notText(path: "sales.csv", what: "a zip archive or spreadsheet"))
    }

    @Test func brokenHeader() {
        #expect(
            error("customer,\"time,amount\na,2011-01-01,1\n")
                == .unreadableHeader(path: "sales.csv", line: 1, reason: .unterminatedQuote))
    }

    @Test func headerOfTooManyColumns() {
        let names = (0..<5_000).map { "c\($0)" }.joined(separator: ",")
        #expect(error("\(names)\n1\n") == .tooManyFields(path: "sales.csv", limit: 4_096))
    }

    @Test func mappingThatNoFileSatisfies() {
        var mapping = plainMapping
        mapping.format.decimalSign = .comma
        #expect(message("", mapping).contains("both the delimiter and the decimal sign"))
        mapping = plainMapping
        mapping.format.maximumRejectShare = 1.5
        #expect(message("", mapping).contains("maximumRejectShare is 1.5"))
        mapping.format.maximumRejectShare = .nan
        #expect(message("", mapping).contains("maximumRejectShare"))
    }

    @Test func tooManyRejects() throws {
        let good = String(repeating: "a,2011-01-01,1\n", count: 95)
        let bad = String(repeating: "a,2011-01-01,NaN\n", count: 5)
        let header = "customer,time,amount\n"
        #expect(try read(header + good + bad).report.rejectedCount == 5)
        let text = header + good + bad + "a,,1\n"
        #expect(
            error(text)
                == .tooManyRejects(
                    path: "sales.csv", rejectedCount: 6, lineCount: 101, maximumShare: 0.05,
                    reasonCounts: [.unparseableNumber: 5, .missingTime: 1], rejectsPath: nil))
        #expect(
            message(text)
                == "sales.csv: 6 of 101 lines were rejected, more than the 5.0 % that "
                + "maximumRejectShare allows (unparseableNumber 5, missingTime 1); ask for a "
                + "rejects file to see them, correct the mapping or the file, or name expected "
                + "reasons in setAside")
    }
}
