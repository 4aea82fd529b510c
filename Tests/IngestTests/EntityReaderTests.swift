import ByteCoding
import Foundation
import Ingest
import Numerical
import Testing

@Suite struct EntityReaderTests {
    private let mapping = EntityMapping(
        format: TextFormat(maximumRejectShare: 1),
        id: IDReference(.name("customer_id"), kind: .integer),
        attributes: [
            AttributeMapping(name: "age", column: .name("age"), kind: .number),
            AttributeMapping(name: "gender", column: .name("sex"), kind: .text),
            AttributeMapping(
                name: "interests", column: .name("interests"),
                kind: .set(separator: UInt8(ascii: ";"))),
        ])

    private func read(
        _ text: String, _ mapping: EntityMapping
    ) throws(IngestError) -> (table: EntityTable, report: IngestReport) {
        let bytes = Array(text.utf8)
        return try readEntities(bytes, path: "customers.csv", mapping: mapping)
    }

    @Test func attributes() throws {
        let (table, report) = try read(
            """
            customer_id,age,sex,interests
            7.0,41.5,f,golf; wine ;golf;;
            8,,,
            9,1e2,m,"say ""hi"";wine"

            """, mapping)
        #expect(table.ids == .integers([7, 8, 9]))
        #expect(table.columns.map(\.name) == ["age", "gender", "interests"])
        #expect(table.columns[0].values == .number([41.5, 0, 100], valid: [true, false, true]))
        #expect(
            table.columns[1].values
                == .text(
                    CodedText(codes: [0, CodedText.missing, 1], values: TextArray(["f", "m"]))))
        #expect(
            table.columns[2].values
                == .set(
                    CodedSets(
                        rowOffsets: [0, 2, 2, 4], codes: [0, 1, 2, 1],
                        values: TextArray(["golf", "wine", "say \"hi\""]))))
        #expect(report.acceptedCount == 3)
        #expect(report.firstTime == nil)
    }

    @Test func rejectsAndDuplicates() throws {
        let (table, report) = try read(
            """
            customer_id,age,sex,interests
            1,x,f,
            1,20,f,
            1,30,f,
            ,20,f,
            a,20,f,
            2,1e999,m,
            3,NaN,m,

            """, mapping)
        // The first line with id 1 is rejected, so the second is the first accepted one.
        #expect(table.ids == .integers([1]))
        #expect(table.columns[0].values == .number([20], valid: [true]))
        #expect(
            report.reasonCounts == [
                .unparseableNumber: 3, .duplicateID: 1, .missingID: 1, .invalidID: 1,
            ])
    }

    @Test func textIDs() throws {
        var textual = mapping
        textual.id?.kind = .text
        textual.attributes = []
        let (table, report) = try read(
            "customer_id\n007\n7\n \"007\"\n\"007\"\n\"a\"\"b\"\n\"a\"\"b\"\n", textual)
        #expect(ids(table.ids) == ["007", "7", "\"007\"", "a\"b"])
        #expect(report.reasonCounts == [.duplicateID: 2])
    }

    @Test func unusableMappings() {
        var twice = mapping
        twice.attributes.append(twice.attributes[0])
        #expect(throws: IngestError.invalidMapping("two attributes are named `age`")) {
            _ = try read("customer_id,age,sex,interests\n", twice)
        }
        var wide = mapping
        wide.attributes[2].kind = .set(separator: 0xE2)
        #expect(throws: IngestError.self) {
            _ = try read("customer_id,age,sex,interests\n", wide)
        }
        #expect {
            _ = try read("customer_id,age,gender,interests\n", mapping)
        } throws: { error in
            "\(error)".contains("attribute `gender`: column `sex` not found")
        }
    }

    /// However small the windows are in which a file is read, what it holds is the same.
    @Test(arguments: [1, 2, 3] as [UInt64]) func windows(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let fields = [
            "1", "27", "", "f", "golf;wine", "\"a;\"\"b\"\"\"", "\"two\nlines\"", "\"open", "x\"y",
            " 5 ",
            "\"a\"b", "\r", "é", String(repeating: "z", count: 70),
        ]
        for round in 0..<40 {
            var text = "customer_id,age,sex,interests\n"
            for row in 0..<random.below(30) {
                let parts = (0..<3 + random.below(2)).map { _ in
                    random.below(2) == 0 ? "3" : fields[random.below(fields.count)]
                }
                text += ([random.below(4) == 0 ? "1" : "\(row)"] + parts).joined(separator: ",")
                text += ["\n", "\r\n", "\n\n", "\n \n"][random.below(4)]
            }
            if random.below(2) == 0 { text.removeLast() }
            var limits = RecordLimits()
            limits.lineByteCount = round % 2 == 0 ? 60 : 1 << 20
            limits.quotedLineCount = 3
            try withTemporaryFolder { folder in
                func outcome(_ windowByteCount: Int) throws -> (
                    Result<EntityTable, IngestError>, IngestReport?, String
                ) {
                    let path = folder.appendingPathComponent("rejects.csv").path
                    let rejects = try RejectsWriter(path: path)
                    let result: Result<EntityTable, IngestError>
                    var report: IngestReport?
                    do throws(IngestError) {
                        let read = try readEntities(
                            Array(text.utf8), path: "e.csv", mapping: mapping, rejects: rejects,
                            limits: limits, windowByteCount: windowByteCount)
                        result = .success(read.table)
                        report = read.report
                    } catch {
                        result = .failure(error)
                    }
                    try rejects.finish()
                    return (result, report, try String(contentsOfFile: path, encoding: .utf8))
                }
                let whole = try outcome(1 << 20)
                for windowByteCount in [1, 7, 30, 200] {
                    let found = try outcome(windowByteCount)
                    #expect(
                        found == whole,
                        "windows of \(windowByteCount): \(text.debugDescription)")
                }
                #expect(whole.1.map { $0.byteCount == text.utf8.count } ?? true)
            }
        }
    }

    @Test func levelsAreNumbersInTheirOrder() throws {
        let ordinal = EntityMapping(
            format: TextFormat(maximumRejectShare: 1),
            id: IDReference(.name("id"), kind: .integer),
            attributes: [
                AttributeMapping(
                    name: "school", column: .name("school"),
                    kind: .ordinal(levels: ["low", "2 mid", "a \"b\""]))
            ])
        let (table, report) = try read(
            "id,school\n1,low\n2, 2 mid \n3,\"a \"\"b\"\"\"\n4,\n5,Low\n6,  \n", ordinal)
        #expect(table.ids == .integers([1, 2, 3, 4, 6]))
        #expect(
            table.columns[0].values
                == .number([1, 2, 3, 0, 0], valid: [true, true, true, false, false]))
        #expect(report.reasonCounts == [.unknownLevel: 1])
        var twice = ordinal
        twice.attributes[0].kind = .ordinal(levels: ["low", "low"])
        #expect(throws: IngestError.self) { try read("id,school\n1,low\n", twice) }
    }

    @Test func coordinatesOutsideTheGlobe() throws {
        let places = EntityMapping(
            format: TextFormat(maximumRejectShare: 1),
            id: IDReference(.name("id"), kind: .integer),
            attributes: [
                AttributeMapping(name: "north", column: .name("lat"), kind: .latitude),
                AttributeMapping(name: "east", column: .name("lon"), kind: .longitude),
            ])
        let text = """
            id,lat,lon
            1,-90,180
            2,90.0001,0
            3,0,-180.5
            4,48.1,-180
            5,,11
            6,north,0

            """
        let (table, report) = try read(text, places)
        #expect(table.ids == .integers([1, 4, 5]))
        #expect(table.columns[0].values == .number([-90, 48.1, 0], valid: [true, true, false]))
        #expect(report.reasonCounts == [.coordinateOutOfRange: 2, .unparseableNumber: 1])
        // A line and a column in the list of what was left out.
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("rejects.csv").path
            let rejects = try RejectsWriter(path: path)
            _ = try readEntities(
                Array(text.utf8), path: "customers.csv", mapping: places, rejects: rejects)
            try rejects.finish()
            let listed = try String(contentsOfFile: path, encoding: .utf8)
            #expect(listed.contains("customers.csv,3,lat,coordinateOutOfRange,90.0001"))
            #expect(listed.contains("customers.csv,4,lon,coordinateOutOfRange,-180.5"))
        }
    }

    @Test func marginRatesAreRates() throws {
        var mapping = EntityMapping(
            format: TextFormat(maximumRejectShare: 1), id: IDReference(.name("id")),
            attributes: [
                AttributeMapping(name: "margin_rate", column: .name("rate"), kind: .number),
                AttributeMapping(name: "price", column: .name("price"), kind: .number),
            ])
        let text = "id,rate,price\na,0.3,5\nb,30,5\nc,,5\nd,-1.01,5\ne,-1,5\nf,1,5\n"
        let (all, _) = try read(text, mapping)
        #expect(all.count == 6)
        mapping.attributes[0].isMarginRate = true
        let (table, report) = try read(text, mapping)
        #expect(table.ids == .texts(TextArray(["a", "c", "e", "f"])))
        #expect(
            table.columns[0].values == .number([0.3, 0, -1, 1], valid: [true, false, true, true]))
        #expect(report.reasonCounts == [.marginRateOutOfRange: 2])
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("rejects.csv").path
            let rejects = try RejectsWriter(path: path)
            _ = try readEntities(
                Array(text.utf8), path: "products.csv", mapping: mapping, rejects: rejects)
            try rejects.finish()
            let listed = try String(contentsOfFile: path, encoding: .utf8)
            #expect(listed.contains("products.csv,3,rate,marginRateOutOfRange,30"))
            #expect(listed.contains("products.csv,5,rate,marginRateOutOfRange,-1.01"))
        }
        mapping.format.maximumRejectShare = 0
        #expect(throws: IngestError.self) { try read(text, mapping) }
    }

    @Test func linesWithoutIDsHaveTheirNumber() throws {
        let numbered = EntityMapping(
            format: TextFormat(maximumRejectShare: 1), id: nil,
            attributes: [AttributeMapping(name: "age", column: .name("age"), kind: .number)])
        let (table, _) = try read("age\n41\nx\n43\n", numbered)
        #expect(table.ids == .integers([2, 4]))
    }
}
