import PatronClient
import Testing
import Wire

/// Every operation, through the client, over a real socket.
@Suite struct OperationTests {
    @Test func describeTellsWhatThereIs() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let description = try await connection.describe()
            #expect(description.snapshot.generation == 1)
            #expect(description.snapshot.asOfDay == 10_134)
            #expect(description.snapshot.currency == "GBP")
            #expect(description.snapshot.models.map(\.name) == ["lifetime"])
            #expect(description.snapshot.models.map(\.version) == [2])
            #expect(description.customerCount == 1_000)
            #expect(description.productCount == 20)
            #expect(description.customerIDKind == .integer)
            #expect(description.productIDKind == .text)
            // A generation without details of its products.
            let affinity = try #require(description.affinity)
            #expect(affinity.variant == "factors")
            #expect(affinity.findsSimilar)
            #expect(!affinity.hasDetails && !affinity.hasProbabilities)
            #expect(description.columns.map(\.id) == [2, 10, 13, 300])
            #expect(description.columns[1].name == "revenue")
            #expect(description.columns[1].unit == "GBP")
            #expect(description.columns[1].description == "All purchases")
            #expect(connection.maximumLookupIDs == 65_536)
            #expect(try await connection.ping() == 1)
            await connection.close()
        }
    }

    /// Who does not know of them gets the zeros of before.
    @Test(arguments: [Features([]), .affinityFacts])
    func affinityIsDescribedToWhoAskedForIt(features: Features) async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(optionalFeatures: features.union(.clientJunk))
            raw.send(frame(.describe, 2))
            guard case .describe(let description)? = try await raw.receive()?.response else {
                Issue.record("not a description")
                return
            }
            #expect((description.affinity != nil) == (features == .affinityFacts))
        }
    }

    @Test(arguments: [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1_000])
    func lookupGivesARowAnID(count: Int) async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let answer = try await connection.lookup((0..<count).map { .integer(id($0)) })
            #expect(answer.status.count == count)
            #expect(answer.columns.map(\.id) == [2, 10, 13, 300])
            for row in 0..<count {
                #expect(answer.status[row] == (row % 10 == 9 ? .tooLittleHistory : .ok))
                #expect(
                    answer.columns[0].number(row) == (row % 10 == 9 ? nil : Double(row) / 1_024))
                #expect(answer.columns[1].number(row) == revenue(row: row, generation: 1))
                #expect(answer.columns[2].number(row) == Double(row % 5))
                #expect(answer.columns[3].number(row) == Double(row % 4) / 4)
            }
            await connection.close()
        }
    }

    @Test func lookupKeepsTheOrderOfIDsAndColumns() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            // An unknown id has its row, with a status and no values; an id may repeat.
            let answer = try await connection.lookup(
                [.integer(id(5)), .integer(-3), .integer(id(2)), .integer(id(5))],
                columns: [300, 10])
            #expect(answer.status == [.ok, .unknownCustomer, .ok, .ok])
            #expect(answer.columns.map(\.id) == [300, 10])
            let rows = (0..<4).map { answer.columns[1].number($0) }
            #expect(
                rows == [
                    revenue(row: 5, generation: 1), nil, revenue(row: 2, generation: 1),
                    revenue(row: 5, generation: 1),
                ])
            let unknown = try await connection.lookup([.integer(4)])
            #expect(unknown.status == [.unknownCustomer])
            #expect(unknown.columns.allSatisfy { $0.number(0) == nil })
            await connection.close()
        }
    }

    /// One customer is answered from a template, many by columns: the same numbers and statuses.
    @Test(arguments: [nil, [300, 2], [13], [10, 300, 13, 2]] as [[UInt16]?])
    func oneCustomerIsAnsweredLikeMany(columns: [UInt16]?) async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let ids = (0..<120).map { $0 % 17 == 16 ? Int64($0) : id($0) }
            let all = try await connection.lookup(ids.map { .integer($0) }, columns: columns)
            for (row, customer) in ids.enumerated() {
                let one = try await connection.lookup([.integer(customer)], columns: columns)
                #expect(one.status == [all.status[row]])
                #expect(one.columns.map(\.id) == all.columns.map(\.id))
                #expect(one.columns.map { $0.number(0) } == all.columns.map { $0.number(row) })
            }
            await connection.close()
        }
    }

    /// Neither the columns of the look-up before nor those of another generation.
    @Test func columnsMayChangeBetweenLookups() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            for generation in 1...3 {
                for columns in [[10], [13, 10], nil, [10], [10, 13]] as [[UInt16]?] {
                    let answer = try await connection.lookup([.integer(id(8))], columns: columns)
                    #expect(answer.columns.map(\.id) == columns ?? [2, 10, 13, 300])
                    let expected = revenue(row: 8, generation: generation)
                    #expect(answer.columns.first { $0.id == 10 }?.number(0) == expected)
                    #expect(answer.snapshot.generation == UInt64(generation))
                }
                if generation == 3 { break }
                try server.publish(sampleContents(generation: generation + 1))
                try await server.waitForGeneration(generation + 1)
            }
            await connection.close()
        }
    }

    @Test func textIDs() async throws {
        try await withServer(testConfiguration(), sampleContents(textIDs: true)) { server in
            let connection = try await server.connect()
            #expect(try await connection.describe().customerIDKind == .text)
            let answer = try await connection.lookup(
                [.text("C10007"), .text("nobody"), .text("")], columns: [10])
            #expect(answer.status == [.ok, .unknownCustomer, .unknownCustomer])
            #expect(answer.columns[0].number(0) == revenue(row: 7, generation: 1))
            let top = try await connection.topCustomers(product: .text("P1"), count: 2)
            #expect(top.entries.count == 2)
            await connection.close()
        }
    }

    @Test func topProducts() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let all = try await connection.topProducts(
                customer: .integer(id(4)), count: 20, excludingPurchased: false)
            #expect(all.status == .ok)
            #expect(all.entries.count == 20)
            #expect(all.entries.map(\.score) == all.entries.map(\.score).sorted(by: >))
            let rest = try await connection.topProducts(customer: .integer(id(4)), count: 20)
            #expect(rest.entries == all.entries.filter { $0.id != .text("P4") })
            // Bought nothing: no factors.
            let none = try await connection.topProducts(customer: .integer(id(3)))
            #expect(none.status == .tooLittleHistory)
            #expect(none.entries.isEmpty)
            await connection.close()
        }
    }

    @Test func topCustomers() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let top = try await connection.topCustomers(product: .text("P4"), count: 10_000)
            // 50 bought it and one bought nothing.
            #expect(top.entries.count == 1_000 - 50 - 1)
            #expect(!top.entries.contains { $0.id == .integer(id(24)) })
            #expect(top.entries.map(\.score) == top.entries.map(\.score).sorted(by: >))
            let first = try await connection.topCustomers(product: .text("P4"), count: 3)
            #expect(first.entries == Array(top.entries.prefix(3)))
            await connection.close()
        }
    }

    @Test func segments() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            let all = try await connection.segments()
            #expect(all.segments.map(\.segmentation) == ["behaviour", "value", "value"])
            let value = try await connection.segments(of: "value")
            #expect(value.segments.map(\.number) == [0, 1])
            #expect(value.segments.map(\.name) == ["low", "high"])
            #expect(value.segments.map(\.customerCount) == [750, 250])
            #expect(value.segments.map(\.customerShare) == [0.75, 0.25])
            #expect(value.segments.map(\.revenue) == [2, 6])
            #expect(value.segments.map(\.revenueShare) == [0.25, 0.75])
            #expect(value.segments.map(\.meanLifetimeValue) == [1.5, nil])
            #expect(value.segments.map(\.meanChurnProbability) == [0.5, nil])
            await connection.close()
        }
    }

    @Test func refusalsNameTheFaultAndTheConnectionGoesOn() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            try await expectRefusal("unknownCustomer") {
                try await connection.topProducts(customer: .integer(-1))
            }
            try await expectRefusal("unknownProduct") {
                try await connection.topCustomers(product: .text("P99"))
            }
            try await expectRefusal("unknownSegmentation") {
                try await connection.segments(of: "taste")
            }
            try await expectRefusal("wrongIDKind") {
                try await connection.lookup([.text("1007")])
            }
            try await expectRefusal("wrongIDKind") {
                try await connection.topCustomers(product: .integer(1))
            }
            try await expectRefusal("unknownColumn") {
                try await connection.lookup([.integer(1_007)], columns: [10, 999])
            }
            try await expectRefusal("duplicateColumn") {
                try await connection.lookup([.integer(1_007)], columns: [10, 10])
            }
            try await expectRefusal("tooManyItems") {
                try await connection.topCustomers(product: .text("P1"), count: 10_001)
            }
            try await expectRefusal("valueOutOfRange") {
                try await connection.lookup([])
            }
            // More than a request may have goes as two; what the server says of one, the vectors show.
            for count in [65_536, 65_537] {
                let most = try await connection.lookup(
                    Array(repeating: .integer(1_007), count: count), columns: [10])
                #expect(most.status.count == count)
            }
            await connection.close()
        }
    }

    @Test func aSnapshotWithoutAffinitySaysSo() async throws {
        try await withServer(testConfiguration(), sampleContents(hasAffinity: false)) { server in
            let connection = try await server.connect()
            #expect(try await connection.describe().productIDKind == nil)
            try await expectRefusal("notInSnapshot") {
                try await connection.topProducts(customer: .integer(id(0)))
            }
            try await expectRefusal("notInSnapshot") {
                try await connection.topCustomers(product: .text("P1"))
            }
            await connection.close()
        }
    }

    @Test func manyTasksShareOneConnection() async throws {
        try await withServer { server in
            let connection = try await server.connect()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for row in 0..<300 {
                    tasks.addTask {
                        if row % 20 == 0 {
                            let top = try await connection.topCustomers(
                                product: .text("P\(row % 7)"), count: 5)
                            #expect(top.entries.count == 5)
                        } else {
                            let answer = try await connection.lookup([.integer(id(row))])
                            #expect(
                                answer.column(10)?.number(0) == revenue(row: row, generation: 1))
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            await connection.close()
        }
    }
}

func id(_ row: Int) -> Int64 { Int64(1_000 + 7 * row) }

func expectRefusal<Answer>(
    _ name: String, _ body: () async throws -> Answer
) async throws {
    let error = await #expect(throws: PatronError.self) { _ = try await body() }
    guard case .refused(let refusal) = error else {
        Issue.record("\(name) expected, \(String(describing: error)) came")
        return
    }
    #expect(refusal.name == name, "\(refusal)")
    #expect(!refusal.text.isEmpty)
}
