import Engine
import Foundation
import Models
import Numerical
import TestSupport
import Testing
import Units

/// Segmentations of customers by what is known of them, from files to segments.
@Suite struct AttributeSegmentationTests {
    /// Three kinds of people, customer i of kind i % 3: told apart by a favourite, by income, and by
    /// a school that goes with both.
    private func people(
        _ count: Int, seed: UInt64 = 4, favourite: (Int, String) -> String = { $1 }
    ) -> String {
        let kinds = [("sport", 30.0, "low"), ("music", 30, "high"), ("sport", 90, "high")]
        var random = SeededRandom(seed: seed)
        var text = "id,income,favourite,school,hobbies\n"
        for i in 0..<count {
            let kind = kinds[i % 3]
            let isOwn = random.uniform() < 0.9
            let own = isOwn ? kind.0 : ["sport", "music", "books"][random.below(3)]
            let income = random.uniform() < 0.05 ? "" : "\(Int(kind.1 + 6 * random.normal()))"
            let school = random.uniform() < 0.05 ? "" : random.uniform() < 0.9 ? kind.2 : "mid"
            let hobbies = ["golf;tennis", "piano", "golf;wine"][i % 3]
            text += "\(i),\(income),\(favourite(i, own)),\(school),\(hobbies)\n"
        }
        return text
    }

    private static let attributes = """
        {income: number, favourite: text, school: {levels: [low, mid, high]}, hobbies: set}
        """

    @Test func numbersAndTextsTogether() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: Self.attributes,
                segmentations: """
                    kinds: {algorithm: kPrototypes, features: [income, favourite, school], clusterCount: 3}
                    modes: {algorithm: kPrototypes, features: [favourite], clusterCount: 2}
                    heavy: {algorithm: kPrototypes, features: [income, favourite], gamma: 1000, clusterCount: 2}
                    fun: {features: [hobbies], scaling: none, clusterCount: 3}
                    """, customers: people(900))
            let (cards, summary, scores) = try workspace.scored(folder)
            #expect(summary.statusCounts == ["0": 900])
            #expect(
                summary.columns == [
                    "fun_segment", "heavy_segment", "kinds_segment", "modes_segment",
                ])
            let truth = try scores.texts("customer_id").map { (Int32($0) ?? 0) % 3 }
            #expect(adjustedRandIndex(try scores.segments("kinds"), truth) > 0.9)
            // Several values a customer are columns of 0 and 1.
            #expect(adjustedRandIndex(try scores.segments("fun"), truth) == 1)
            let card = try #require(cards["segmentation.kinds"])
            #expect(card.algorithm == "kprototypes")
            #expect(try #require(card.diagnostics["gamma"]) > 0)
            #expect(card.map?.positions.count == 3)
            #expect(cards["segmentation.modes"]?.map == nil)
            #expect(cards["segmentation.heavy"]?.diagnostics["gamma"] == 1000)

            _ = try workspace.publish()
            let published = try publishedSegments(folder)
            let table = try #require(published.first { $0.segmentation == "kinds" })
            let names = Set(table.segments.map(\.name))
            #expect(table.segments.map(\.customerCount).reduce(0, +) == 900)
            #expect(names.contains { $0.contains("favourite=music") }, "\(names)")
            #expect(names.contains { $0.contains("high income") }, "\(names)")
            #expect(names.contains { $0.contains("low school") }, "\(names)")

            // The same on one thread, and from the model files.
            let path = folder.sub("again.csv")
            _ = try workspace.score(csvPath: path, threadCount: 1)
            #expect(try ScoreTable(path).segments("kinds") == (try scores.segments("kinds")))
        }
    }

    /// A value that the training did not know differs from all segments alike: the rest decides.
    @Test func aCategoryThatIsNewAtScoring() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: Self.attributes,
                segmentations:
                    "kinds: {algorithm: kPrototypes, features: [income, favourite, school], clusterCount: 3}",
                customers: people(600))
            let (_, _, before) = try workspace.scored(folder)
            let rich = try before.segments("kinds")[2]
            try folder.write(
                "id,income,favourite,school,hobbies\n5001,91,chess,high,\n5002,90,,,\n",
                as: "more.csv")
            _ = try workspace.ingest(IngestFiles(customers: [folder.sub("more.csv")]))
            let path = folder.sub("after.csv")
            _ = try workspace.score(csvPath: path, threadCount: 2)
            let after = try ScoreTable(path)
            #expect(try after.segments("kinds").suffix(2) == [rich, rich])
            #expect(try after.segments("kinds").prefix(600) == before.segments("kinds")[...])
        }
    }

    /// A text of thousands of values, as an e-mail address is: the rare ones are one category, and
    /// what is said by the other columns is found all the same.
    @Test func aTextOfVeryManyValues() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: Self.attributes,
                segmentations: """
                    kinds: {algorithm: kPrototypes, features: [income, favourite, school], clusterCount: 3}
                    """,
                customers: people(6_000) { i, own in i % 2 == 0 ? own : "address \(i)" })
            let (cards, _, scores) = try workspace.scored(folder)
            let warnings = try #require(cards["segmentation.kinds"]?.warnings)
            #expect(
                warnings == [
                    "favourite has 3003 values: those beyond the 1000 most frequent ones count as "
                        + "(other)"
                ])
            let truth = try scores.texts("customer_id").map { (Int32($0) ?? 0) % 3 }
            #expect(adjustedRandIndex(try scores.segments("kinds"), truth) > 0.5)
        }
    }

    @Test func whatCannotBeSegmentedIsNamed() throws {
        try withTemporaryFolder { folder in
            let workspace = try makeCustomers(
                folder, attributes: "{a: number, b: text, c: text}",
                segmentations: """
                    few: {algorithm: kPrototypes, features: [a, c], clusterCount: 4}
                    empty: {algorithm: kPrototypes, features: [b], clusterCount: 2}
                    some: {algorithm: kPrototypes, features: [a, b, c], clusterCount: 3}
                    """,
                customers: "id,a,b,c\n1,5,,x\n2,5,,y\n3,6,,x\n4,5,,x\n5,6,,x\n6,5,,y\n")
            let summary = try workspace.train(threadCount: 1)
            #expect(summary.models.map(\.name) == ["segmentation.some"])
            // Three customers differ, four are wanted.
            #expect(
                summary.notFitted["segmentation.few"]?.contains("3") ?? false,
                "\(summary.notFitted)")
            #expect(summary.notFitted["segmentation.empty"]?.contains("features b") ?? false)
            #expect(summary.models[0].warnings == ["this data has no feature b"])
        }
    }

    // MARK: Places

    /// Two towns on either side of the date line and one by the other ocean.
    @Test func neighboursAcrossTheDateLine() throws {
        try withTemporaryFolder { folder in
            var random = SeededRandom(seed: 8)
            var text = "id,north,east\n"
            for i in 0..<300 {
                let (north, east) = [(-17.0, 179.8), (-17, -179.8), (10, 0)][i % 3]
                text +=
                    "\(i),\(north + 0.1 * random.normal()),\(east + 0.05 * random.normal())\n"
            }
            let workspace = try makeCustomers(
                folder, attributes: "{north: latitude, east: longitude}",
                segmentations: """
                    region: {features: [coordinates], scaling: none, clusterCount: 2}
                    degrees: {features: [north, east], scaling: none, clusterCount: 2}
                    """, customers: text)
            let (_, _, scores) = try workspace.scored(folder)
            let truth = (0..<300).map { Int32($0 % 3 == 2 ? 1 : 0) }
            #expect(try scores.segments("region") == truth)
            // By degrees the neighbours are farthest from each other.
            #expect(try scores.segments("degrees") != truth)
            _ = try workspace.publish()
            let published = try publishedSegments(folder)
            let table = try #require(published.first { $0.segmentation == "region" })
            #expect(
                table.segments.map(\.name) == ["around 17.0 S 180.0 E", "around 10.0 N 0.0 E"]
                    || table.segments.map(\.name) == [
                        "around 17.0 S 180.0 W", "around 10.0 N 0.0 W",
                    ] || table.segments[0].name.hasPrefix("around 17.0 S 180.0"),
                "\(table.segments.map(\.name))")
        }
    }

    // MARK: Customers without purchases

    @Test func theProgramOnCustomersAlone() throws {
        guard Program.path != nil else { return }
        try withTemporaryFolder { folder in
            try folder.write(people(120), as: "customers.csv")
            try folder.write(
                """
                sources:
                  customers:
                    files: [customers.csv]
                    id: {column: id, type: integer}
                    attributes: \(Self.attributes)
                segmentations:
                  kinds: {algorithm: kPrototypes, features: [attributes], clusterCount: 3}

                """, as: "patron.yaml")
            func patron(_ arguments: String...) throws -> Program.Outcome {
                try Program.run(arguments, in: folder)
            }
            #expect(try patron("plan", "check", "patron.yaml").code == 0)
            #expect(try patron("init", "ws", "--plan", "patron.yaml").code == 0)
            let early = try patron("train", "ws")
            #expect(early.code == 65 && early.errors.contains("run `patron ingest` first"))
            func today() -> String {
                LocalClock.utc.day(atUTC: Int(Date().timeIntervalSince1970)).description
            }
            // Midnight may pass.
            let before = today()
            let run = try patron("run", "ws")
            #expect(run.code == 0, "\(run.errors)")
            #expect([before, today()].contains { run.output.contains("customers as of \($0)") })
            let segments = try patron("segments", "--workspace", "ws")
            #expect(segments.output.contains("kinds"), "\(segments.errors)")
            let maps = try patron("segments", "ws", "--json")
            #expect(maps.output.contains("\"maps\":{\"kinds\":{"), "\(maps.output)")
            let map = try patron("segments", "ws", "kinds", "--json")
            #expect(map.output.contains("\"varianceShares\":["), "\(map.output)")
            let history = try patron("history", "ws", "--customer", "7")
            #expect(history.output.contains("customer 7, without purchases"), "\(history.errors)")
            #expect(history.output.contains("kinds"), "\(history.output)")
            let lookup = try patron("lookup", "7", "--workspace", "ws")
            #expect(lookup.output.contains("kinds_segment"), "\(lookup.errors)")
            let explained = try patron(
                "explain", "ws", "--customer", "7", "--segmentation", "kinds")
            #expect(explained.code == 0, "\(explained.errors)")
            #expect(
                explained.output.contains("next: ") && explained.output.contains("favourite"),
                "\(explained.output)")
            let unknown = try patron(
                "explain", "ws", "--customer", "1207", "--segmentation", "kinds")
            #expect(unknown.code != 0 && unknown.errors.contains("1207"), "\(unknown.errors)")
            #expect(try patron("verify", "ws").code == 0)
            let models = try patron("models", "ws")
            #expect(
                models.output.contains("kprototypes") && models.output.contains("for a picture"))
            // What is of purchases says that there are none.
            for command in [
                ["value", "ws"], ["cohorts", "ws"], ["tiers", "ws"], ["project", "ws"],
            ] {
                let outcome = try Program.run(command, in: folder)
                #expect(outcome.code != 0 && !outcome.errors.isEmpty, "\(command)")
                #expect(!outcome.errors.contains("Fatal"), "\(outcome.errors)")
            }
            let again = try patron("run", "ws")
            #expect(again.code == 0, "\(again.errors)")
            try folder.write("customer,time,amount\n1,2024-01-01,5\n", as: "p.csv")
            let purchases = try patron("ingest", "ws", "--purchases", "p.csv")
            #expect(purchases.code == 1 && purchases.errors.contains("sources.purchases"))
        }
    }
}
