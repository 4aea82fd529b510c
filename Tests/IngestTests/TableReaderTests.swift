import Foundation
import Ingest
import Testing

@Suite struct TableReaderTests {
    private func read(
        _ text: String, _ uses: [TableMapping.Use] = [], limit: Int = 1_000, window: Int = 4 << 20
    ) throws(IngestError) -> PlainTable {
        var mapping = TableMapping(uses: uses)
        mapping.categoryLimit = limit
        return try readTable(
            Array(text.utf8), path: "t.csv", mapping: mapping, windowByteCount: window)
    }

    private func message(
        _ text: String, _ uses: [TableMapping.Use] = [], limit: Int = 1_000
    ) -> String {
        do throws(IngestError) {
            _ = try read(text, uses, limit: limit)
        } catch { return error.description }
        return "read"
    }

    private func numbers(_ table: PlainTable, _ name: String) -> [Double?]? {
        guard case .numbers(let values)? = table.column(name)?.values else { return nil }
        return values.map { $0.isNaN ? nil : $0 }
    }

    private func texts(_ table: PlainTable, _ name: String) -> [String?]? {
        guard case .texts(let values)? = table.column(name)?.values else { return nil }
        return (0..<values.count).map { values[$0] }
    }

    @Test(arguments: [1, 7, 64, 4 << 20])
    func kindsAreThoseOfTheFields(window: Int) throws {
        let text = """
            id,age,plan,zip,mixed,notes
            a, 31 ,"basic, new",8001,1,x
            b,,plus,8002,2,

            c,-2.5e1,,8001,three,y

            """
        let table = try read(
            text,
            [
                .init("id", .id, role: "--id"), .init("notes", .ignored, role: "--ignore"),
                .init("zip", .texts, role: "--texts"),
            ], window: window)
        #expect(table.rowCount == 3)
        #expect(table.ids?.strings == ["a", "b", "c"])
        #expect(table.columns.map(\.name) == ["age", "plan", "zip", "mixed"])
        #expect(numbers(table, "age") == [31, nil, -25])
        #expect(texts(table, "plan") == ["basic, new", "plus", nil])
        #expect(texts(table, "zip") == ["8001", "8002", "8001"])
        #expect(texts(table, "mixed") == ["1", "2", "three"])
        #expect(table.column("mixed")?.firstTextLine == 5)
        #expect(table.column("plan")?.firstTextLine == nil)
        #expect(table.columns.map(\.missingCount) == [1, 1, 0, 0])
        #expect(table.lineNumbers == [2, 3, 5])
    }

    @Test func moreNumbersThanCategoriesMayBe() throws {
        let lines = (0..<50).map { "\($0),\($0 % 2 == 0 ? "yes" : "no")" }
        let table = try read("n,c\n" + lines.joined(separator: "\n"), limit: 10)
        #expect(numbers(table, "n")?.count == 50)
        #expect(texts(table, "c")?.count == 50)
        #expect(
            message("n,c\n" + (lines + ["x,yes"]).joined(separator: "\n"), limit: 10)
                .contains("t.csv, line 52, column `n`: the field is no number, after more than 10"))
    }

    @Test func whatEndsTheReading() {
        func use(_ column: String, _ kind: TableMapping.Kind) -> TableMapping.Use {
            TableMapping.Use(column, kind, role: "--\(kind)")
        }
        let cases: [(text: String, uses: [TableMapping.Use], words: String)] = [
            ("", [], "t.csv: the file is empty"),
            ("a,b\n", [], "t.csv: the file has no data lines"),
            ("a,b\n1,2\n3\n", [], "line 3: the line has 1 fields, the header 2"),
            ("a,b\n1,2\n\n3,4,5\n", [], "line 4: the line has 3 fields"),
            ("a,a\n1,2\n", [], "has `a` 2 times"),
            ("a,b\n\"1\"x,2\n", [], "line 2, column `a`: bytes follow a closing quote"),
            ("a,b\n1,\"2\n", [], "line 2, column `b`: a quote is not closed"),
            ("a,b\n1,2\n", [use("plans", .texts)], "--texts: column `plans` not found"),
            ("plan,b\n1,2\n", [use("plam", .texts)], "did you mean `plan`?"),
            ("plan;b\n1;2\n", [use("plan", .texts)], "is the delimiter semicolon?"),
            ("a,b\n1,2\nx,2\n", [use("a", .numbers)], "line 3, column `a`: the field is no number"),
            ("a,b\n1,nan\n", [use("b", .numbers)], "line 2, column `b`"),
            ("a,b\nx,2\ny,2\nx,3\n", [use("a", .id)], "line 4, column `a`: line 2 has the same id"),
            ("a,b\nx,2\n ,2\n", [use("a", .id)], "line 3, column `a`: the id is empty"),
            ("a,b\nx,2\n", [use("a", .id), use("a", .ignored)], "is both --id and --ignored"),
        ]
        for (text, uses, words) in cases {
            let message = message(text, uses)
            #expect(message.contains(words), "\(words): \(message)")
        }
        #expect(
            message("a,b\n" + (0..<12).map { "n\($0),1\n" }.joined(), limit: 10)
                .contains("line 12, column `a`: more than 10 different texts explain nothing"))
        #expect(
            message("a,b\n" + (0..<40).map { "n\($0 / 3 * 2),1\nn\($0),2\n" }.joined())
                .contains("column `a`: 40 different texts in 80 lines") == false)
        #expect(
            message("a,b\n" + (0..<40).map { "n\($0),1\n" }.joined())
                .contains("(--ignore 'a')"))
    }

    @Test func aColumnWithoutName() throws {
        let text = ",a\n0,5\n1,6\n"
        #expect(try read(text).columns.map(\.name) == ["column 1", "a"])
        let table = try read(text, [.init("column 1", .ignored, role: "--ignore")])
        #expect(table.columns.map(\.name) == ["a"])
    }

    @Test func decimalComma() throws {
        let mapping = TableMapping(format: TextFormat(delimiter: .semicolon, decimalSign: .comma))
        let table = try readTable(
            Array("a;b\n29,85;x\n".utf8), path: "t.csv", mapping: mapping)
        #expect(numbers(table, "a") == [29.85])
    }
}
