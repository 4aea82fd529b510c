import ByteCoding
import Ingest
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
        return try readEntities(bytes.span, path: "customers.csv", mapping: mapping)
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
        textual.id.kind = .text
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
}
