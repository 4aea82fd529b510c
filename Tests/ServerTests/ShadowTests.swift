import ColumnStore
import Engine
import Foundation
import PatronClient
import Server
import Testing
import Units
import Wire

/// SHADOW, and PROGRESS.
@Suite struct ShadowTests {
    /// Generation 2: revenue is one more, every tenth customer has moved to segment 7, column 300 is
    /// missing, column 301 is new, and the last 100 customers are others.
    private static let candidate: SnapshotContents = {
        var contents = sampleContents(generation: 2)
        contents.columns.removeAll { $0.id == 300 || $0.id == 13 }
        var segments: [Int32] = []
        var numbers: [Double] = []
        var ids: [Int64] = []
        for row in 0..<1_000 {
            segments.append(row % 10 == 0 ? 7 : Int32(row % 5))
            numbers.append(Double(row))
            ids.append(Int64(row < 900 ? 1_000 + 7 * row : 100_000 + row))
        }
        contents.columns.append(
            ScoreColumn(
                id: 13, name: "valueSegment", unit: "segment", values: .int32(segments)))
        contents.columns.append(
            ScoreColumn(id: 301, name: "newcomer", unit: "", values: .float64(numbers)))
        contents.customerIDs = .integers(ids)
        return contents
    }()

    private func lookUpAll(_ connection: PatronConnection) async throws {
        for start in stride(from: 0, to: 1_000, by: 100) {
            _ = try await connection.lookup((start..<start + 100).map { .integer(id($0)) })
        }
    }

    @Test func allDifferencesAreFound() async throws {
        try await withWorkspace([sampleContents(), Self.candidate]) { _, server in
            let connection = try await server.connect()
            #expect(try await connection.shadowReport().state == .none)
            let started = try await connection.startShadow(
                .generation(2), partsPerMillion: 1_000_000)
            #expect(started.state == .running && started.comparedCount == 0)
            try await lookUpAll(connection)
            // One by one too, and who is in neither, or only in the candidate.
            for row in 0..<50 { _ = try await connection.lookup([.integer(id(row))]) }
            _ = try await connection.lookup([.integer(3), .integer(100_950)])
            _ = try await connection.lookup([.integer(100_951)])
            let report = try await connection.stopShadow()
            #expect(report.state == .stopped)
            #expect(report.current.generation == 1)
            #expect(report.candidate.generation == 2)
            #expect(report.sampledCount == 1_053)
            #expect(report.comparedCount == 950)
            #expect(report.onlyInCurrentCount == 100)
            #expect(report.onlyInCandidateCount == 2)
            #expect(report.droppedCount == 0)
            func column(_ id: UInt16) throws -> ShadowResult.Column {
                let found = report.columns.first { $0.id == id }
                return try #require(found)
            }
            let revenue = try column(10)
            #expect(revenue.comparedCount == 950 && revenue.differingCount == 950)
            #expect(revenue.meanDifference == 1 && revenue.largestDifference == 1)
            let median = try #require(revenue.medianDifference)
            #expect(abs(median - 1) < 0.02)
            #expect(revenue.moves.isEmpty)
            let alive = try column(2)
            #expect(alive.differingCount == 0 && alive.medianDifference == 0)
            // Every tenth has none, in both.
            #expect(alive.comparedCount == 950 - 95)
            let segment = try column(13)
            #expect(segment.differingCount == 95 && segment.meanDifference == nil)
            let moved = segment.moves.filter { $0.from != $0.to }
            #expect(
                moved.map(\.from) == [0] && moved.map(\.to) == [7] && moved.map(\.count) == [95])
            #expect(segment.moves.reduce(0) { $0 + $1.count } == 950)
            // A column of one side only.
            let gone = try column(300)
            #expect(gone.comparedCount == 0 && gone.onlyInCurrentCount == 950)
            let new = try column(301)
            #expect(new.comparedCount == 0 && new.onlyInCandidateCount == 950)
            // What comes after the end is not counted, and the report stays.
            try await lookUpAll(connection)
            let later = try await connection.shadowReport()
            #expect(later == report)
            await connection.close()
        }
    }

    @Test func ofAShareOfLookupsThatShareIsCompared() async throws {
        try await withWorkspace { _, server in
            let connection = try await server.connect()
            try await connection.setLabel("canary", to: 2)
            try await connection.startShadow(.label("canary"), partsPerMillion: 200_000)
            for _ in 0..<20 { try await lookUpAll(connection) }
            // Labelled look-ups are no sample of what clients ask.
            let canary = try connection.labelled("canary")
            for _ in 0..<20 { try await lookUpAll(canary) }
            let report = try await connection.shadowReport()
            // 20,000 ids: 4,000 expected, standard deviation 57.
            #expect((3_600...4_400).contains(report.sampledCount))
            #expect(report.comparedCount + report.droppedCount == report.sampledCount)
            #expect(report.state == .running && report.partsPerMillion == 200_000)
            await connection.close()
        }
    }

    @Test func aPublishEndsTheComparison() async throws {
        try await withWorkspace(
            (1...3).map { sampleContents(generation: $0) }
        ) { _, server in
            let connection = try await server.connect()
            try await connection.startShadow(.generation(2), partsPerMillion: 1_000_000)
            try await lookUpAll(connection)
            try await connection.publish(generation: 3)
            try await lookUpAll(connection)
            let report = try await connection.shadowReport()
            #expect(report.state == .overtaken)
            #expect(report.comparedCount == 1_000)
            #expect(report.current.generation == 1)
            // Another one begins anew.
            let next = try await connection.startShadow(.generation(2), partsPerMillion: 1_000_000)
            #expect(next.current.generation == 3 && next.comparedCount == 0)
            await connection.close()
        }
    }

    @Test func textIDs() async throws {
        let generations = (1...2).map { sampleContents(generation: $0, textIDs: true) }
        try await withWorkspace(generations) { _, server in
            let connection = try await server.connect()
            try await connection.startShadow(.generation(2), partsPerMillion: 1_000_000)
            _ = try await connection.lookup([.text("C10007"), .text("nobody"), .text("")])
            _ = try await connection.lookup([.text("C10008")])
            _ = try await connection.lookup([.text("nobody")])
            let report = try await connection.shadowReport()
            #expect(report.sampledCount == 5 && report.comparedCount == 2)
            #expect(report.onlyInCandidateCount == 0 && report.droppedCount == 0)
            await connection.close()
        }
    }

    @Test func candidatesWithIDsOfAnotherKindAreRefused() async throws {
        let text = sampleContents(generation: 2, textIDs: true)
        try await withWorkspace([sampleContents(), text]) { _, server in
            let connection = try await server.connect()
            let refused = try await refusal {
                try await connection.startShadow(.generation(2), partsPerMillion: 1)
            }
            #expect(refused?.status == Status.wrongIDKind.rawValue)
            let unknown = try await refusal {
                try await connection.startShadow(.label("canary"), partsPerMillion: 1)
            }
            #expect(unknown?.status == Status.unknownLabel.rawValue)
            await connection.close()
        }
    }

    /// Noted faster than an event loop hands over: what has no room is dropped and counted.
    @Test func whatIsTooMuchIsCounted() async throws {
        let generations = (1...2).map { sampleContents(generation: $0, customerCount: 30_000) }
        try await withWorkspace(generations) { _, server in
            let connection = try await server.connect()
            try await connection.startShadow(.generation(2), partsPerMillion: 1_000_000)
            _ = try await connection.lookup((0..<30_000).map { .integer(id($0)) }, columns: [10])
            let report = try await connection.stopShadow()
            #expect(report.sampledCount == 30_000)
            #expect(report.droppedCount == 30_000 - 8_192)
            #expect(report.comparedCount == 8_192)
            await connection.close()
        }
    }

    // MARK: PROGRESS

    /// Counts until it is told how far a long request is; never told without the feature.
    @Test(arguments: [true, false])
    func longCountsTellHowFarTheyAre(wants: Bool) async throws {
        let contents = sampleContents(customerCount: 200_000)
        let configuration = testConfiguration { $0.scanThreadCount = 1 }
        try await withServer(configuration, contents) { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello(
                optionalFeatures: wants ? [.progress, .clientJunk] : [.clientJunk])
            // They take turns on one thread, so that each of them takes long.
            let count = 24
            for requestID in 0..<count {
                raw.send(frame(.count(CountRequest(rule: slowRule)), UInt32(requestID + 2)))
            }
            var answers = 0
            var last: [UInt32: UInt64] = [:]
            while answers < count {
                let received = try #require(try await raw.receive())
                switch received.response {
                case .count(let answer):
                    answers += 1
                    #expect(answer.customerCount == 200_000)
                case .progress(let message):
                    let id = received.header.requestID
                    #expect(wants && message.unit == .customers && message.total == 200_000)
                    #expect(message.done >= last[id] ?? 0 && message.done <= 200_000)
                    last[id] = message.done
                default: Issue.record("\(received)")
                }
            }
            #expect(last.isEmpty == !wants)
        }
    }
}
