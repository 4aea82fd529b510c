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

    /// Customer 5 buys later, 9 never: attributes alone are known of both.
    @Test func everybodyKnown() throws {
        let table = try features(lines, asOf: "2024-01-01", attributes: nil)
        let known = try #require(
            try KnownCustomers(table, and: attributes(), keeping: ["attributes"]))
        #expect(known.table.customerIDs == .integers([1, 2, 3, 4, 5, 9]))
        #expect(known.sources == [0, 1, 2, 3, -1, -1] && known.rows == [0, 1, 2, 3])
        let history = known.table.history
        #expect(history.status == [0, 0, 0, 0, 2, 2] && history.count == 6)
        #expect(history.revenue == [1, 1, 1, 1, 0, 0])
        func values(_ name: String) -> [Float?] { (0..<6).map { known.table.value(name, $0) } }
        #expect(values("attribute.age") == [11, nil, 33, nil, 55, 70])
        #expect(values("attribute.gender.X") == [nil, 0, 0, nil, 1, 0])
        #expect(known.table.column(named: "revenue") == nil)
        let own = try CustomerAttributes(ids: .integers([3, 1]), columns: [])
        #expect(try KnownCustomers(table, and: own, keeping: []) == nil)
        let twice = try CustomerAttributes(ids: .integers([9, 1, 9]), columns: [])
        #expect(throws: FeatureError.duplicateID(table: "customers", row: 2)) {
            try KnownCustomers(table, and: twice, keeping: [])
        }
    }

    /// A value that is not among the most frequent has a column where it is named, for a model that
    /// was made of other rows; it is no part of the group.
    @Test func namedValuesHaveColumns() throws {
        let table = try features(lines, asOf: "2024-01-01", attributes: nil)
        let towns = (0..<40).map { "t\(10 + $0)" }
        let attributes = try CustomerAttributes(
            ids: .integers((100..<140).map(Int64.init)),
            columns: [
                CustomerAttributes.Column(name: "town", values: .text(try #require(coded(towns))))
            ])
        let named = "attribute.town.t48"
        for (names, count) in [(["town"], 32), (["town", named], 33)] as [(Set<String>, Int)] {
            let known = try #require(
                try KnownCustomers(table, and: attributes, keeping: names)
            ).table
            #expect(known.columns.count == count)
            #expect(known.groups["attribute.town"]?.count == 32)
            #expect(known.groups["attribute.town"]?.contains(named) == false)
            // Four customers with lines come first.
            #expect(known.value("attribute.town.t10", 4) == 1)
            let column = known.column(named: named)
            #expect((column != nil) == (count == 33))
            #expect(column.map { $0.values.firstIndex(of: 1) == 4 + 38 } ?? true)
            #expect(column.map { $0.values.reduce(0, +) == 1 } ?? true)
        }
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

    /// Texts as they are: without a column a value.
    @Test func textsAsTheyAre() throws {
        let table = try FeatureTable(
            of: attributes(), asOf: CalendarDay(daysSince1970: 0), convention: Self.convention,
            keeping: ["text.gender", "attribute.age"])
        #expect(table.customerIDs == .integers([1, 2, 3, 5, 9]))
        #expect(table.columns.map(\.name) == ["attribute.age"])
        let text = try #require(table.texts["text.gender"])
        #expect((0..<5).map { text[$0] } == [nil, "F", "M", "X", "F"])
        #expect(table.history.status == [UInt8](repeating: CustomerHistory.ok, count: 5))
        #expect(table.history.revenue == [0, 0, 0, 0, 0])
        // A group of purchases is known, and has no column.
        let selection = try table.selection(of: ["age", "hourShares"])
        #expect(selection.unavailable == ["hourShares"])
        let plain = try features(lines, asOf: "2024-01-01", attributes: attributes())
        #expect(plain.texts.isEmpty)
    }

    private static let convention = OrderConvention(
        orderUnit: .customerDay, marginSource: .rate, grossMarginRate: 0.3, itemUnit: .line,
        timeZoneName: "UTC")

    @Test func placesLieOnASphere() throws {
        let places = try CustomerAttributes(
            ids: .integers([1, 2, 3, 4]),
            columns: [
                CustomerAttributes.Column(
                    name: "north",
                    values: .number([0, 0, 90, 12], valid: [true, true, true, true])),
                CustomerAttributes.Column(
                    name: "east",
                    values: .number([179.9, -179.9, 77, 0], valid: [true, true, true, false])),
            ], places: ("north", "east"))
        let table = try FeatureTable(
            of: places, asOf: CalendarDay(daysSince1970: 0), convention: Self.convention)
        let names = ["x", "y", "z"].map { "attribute.coordinates.\($0)" }
        #expect(table.groups["attribute.coordinates"] == names)
        // All attributes are the place, not the degrees as well.
        #expect(table.groups["attributes"] == names)
        #expect(try table.selection(of: ["coordinates"]).columnIndices.count == 3)
        #expect(try table.selection(of: ["north"]).columnIndices.count == 1)
        func point(_ row: Int) -> [Float?] {
            names.map { name in
                table.column(named: name).flatMap { column in
                    column.valid?[row] ?? true ? column.values[row] : nil
                }
            }
        }
        for (value, expected) in zip(point(0), [-0.9999985, 0.0017453, 0] as [Float]) {
            #expect(abs((value ?? 9) - expected) < 1e-6)
        }
        for (value, expected) in zip(point(1), [-0.9999985, -0.0017453, 0] as [Float]) {
            #expect(abs((value ?? 9) - expected) < 1e-6)
        }
        #expect(abs((point(2)[2] ?? 9) - 1) < 1e-6)
        #expect(point(3) == [nil, nil, nil])
        let degrees = try #require(Coordinates.degrees(-1, 0.001, -1))
        #expect(abs(degrees.latitude + 45) < 1e-3 && abs(degrees.longitude - 179.94) < 0.01)
        #expect(Coordinates.degrees(0, 0, 0) == nil)
    }

    /// Numbers that were read before the plan said that they are degrees.
    @Test func degreesOutsideTheGlobeAreNamed() {
        for (values, limit) in [([91.0, 0], 90.0), ([.nan, 0], 90), ([0, -181], 180)] {
            #expect(
                throws: FeatureError.coordinateOutOfRange(
                    attribute: limit == 90 ? "north" : "east", row: 0, limit: limit)
            ) {
                try CustomerAttributes(
                    ids: .integers([5]),
                    columns: [
                        CustomerAttributes.Column(
                            name: "north", values: .number([values[0]], valid: [true])),
                        CustomerAttributes.Column(
                            name: "east", values: .number([values[1]], valid: [true])),
                    ], places: ("north", "east"))
            }
        }
    }
}
