import ByteCoding
import Features
import Testing
import Units

@Suite struct CustomerAttributesTests {
    private let lines = [
        Line(1, "2024-01-01", 1), Line(2, "2024-01-01", 1), Line(3, "2024-01-01", 1),
        Line(4, "2024-01-01", 1), Line(5, "2024-01-09", 1),
    ]

    /// Rows in another order than the customers; customer 4 has none, 9 has no purchase.
    private func attributes() throws -> CustomerAttributes {
        try CustomerAttributes(
            ids: .integers([9, 3, 1, 2, 5]),
            columns: [
                CustomerAttributes.Column(
                    name: "age",
                    values: .number(
                        [70, 33, 11, 1e300, 55], valid: [true, true, true, true, true])),
                CustomerAttributes.Column(
                    name: "gender", values: .text(coded(["F", "M", nil, "F", "X"])!)),
                CustomerAttributes.Column(
                    name: "interests",
                    values: .set(
                        rowOffsets: [0, 1, 3, 3, 4, 4], codes: [0, 0, 1, 1],
                        values: TextArray(["golf", "wine"]))),
            ])
    }

    @Test func joinsByIDAndSpreadsValues() throws {
        let table = try features(lines, asOf: "2024-01-01", attributes: attributes())
        #expect(table.customerIDs == .integers([1, 2, 3, 4]))
        func values(_ name: String) -> [Float?] { (0..<4).map { table.value(name, $0) } }
        #expect(values("attribute.age") == [11, nil, 33, nil])
        #expect(values("attribute.gender.F") == [nil, 1, 0, nil])
        #expect(values("attribute.gender.M") == [nil, 0, 1, nil])
        // X is the value of a customer without a row here: it makes no column.
        #expect(table.column(named: "attribute.gender.X") == nil)
        #expect(values("attribute.interests.golf") == [0, 0, 1, nil])
        #expect(values("attribute.interests.wine") == [0, 1, 1, nil])
        #expect(table.groups["attribute.gender"] == ["attribute.gender.F", "attribute.gender.M"])
        #expect(
            table.groups["attributes"] == [
                "attribute.age", "attribute.gender.F", "attribute.gender.M",
                "attribute.interests.wine", "attribute.interests.golf",
            ])
    }

    @Test func refusesWhatDoesNotFit() throws {
        let twice = try CustomerAttributes(ids: .integers([3, 1, 3]), columns: [])
        #expect(throws: FeatureError.duplicateID(table: "customers", row: 2)) {
            try features(lines, asOf: "2024-01-01", attributes: twice)
        }
        let texts = try CustomerAttributes(ids: .texts(TextArray(["1"])), columns: [])
        #expect(throws: FeatureError.idKindMismatch(table: "customers")) {
            try features(lines, asOf: "2024-01-01", attributes: texts)
        }
        #expect(throws: FeatureError.self) {
            try CustomerAttributes(
                ids: .integers([1]),
                columns: [CustomerAttributes.Column(name: "a", values: .number([], valid: []))])
        }
    }

    @Test func anEmptyTableJoinsNobody() throws {
        let none = try CustomerAttributes(
            ids: .integers([]),
            columns: [CustomerAttributes.Column(name: "age", values: .number([], valid: []))])
        let table = try features(lines, asOf: "2024-01-01", attributes: none)
        #expect(table.value("attribute.age") == nil)
    }

    @Test func textIDsJoin() throws {
        let history = try PurchaseHistory.sorting(
            lineCustomerIDs: .texts(TextArray(["b", "a", "c"])), times: [0, 0, 0],
            amounts: [1, 1, 1])
        let attributes = try CustomerAttributes(
            ids: .texts(TextArray(["c", "bb", "a"])),
            columns: [
                CustomerAttributes.Column(
                    name: "n", values: .number([3, 9, 1], valid: [true, true, true]))
            ])
        let table = try computeFeatures(
            history, attributes: attributes, asOf: day("1970-01-01"), clock: .utc,
            grossMarginRate: 0.3, threadCount: 1)
        #expect((0..<3).map { table.value("attribute.n", $0) } == [1, nil, 3])
    }

    @Test func selections() throws {
        let table = try features(lines, asOf: "2024-01-01", attributes: attributes())
        func names(_ wanted: [String]) throws -> [String] {
            try table.selection(of: wanted).columnIndices.map { table.columns[$0].name }
        }
        #expect(try names(["revenue", "weekdayShares"]).count == 8)
        #expect(
            try names(["gender", "attribute.age", "age"])
                == ["attribute.gender.F", "attribute.gender.M", "attribute.age"])
        #expect(try names(["attributes"]).count == 5)
        #expect(
            try table.selection(of: ["categoryShares", "revenue", "promotionShare"]).unavailable
                == ["categoryShares", "promotionShare"])
        #expect(throws: FeatureError.unknownFeature(name: "revenu", nearest: "revenue")) {
            try table.selection(of: ["revenu"])
        }
    }
}
