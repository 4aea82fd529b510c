import Engine
import Features
import Foundation
import Models
import Numerical
import TestSupport
import Testing
import Units

/// Features and scores that go on from those of an earlier day are those computed from all lines.
@Suite struct IncrementalTests {
    /// Two deliveries of lines and the days that features are wanted for.
    struct Life: CustomTestStringConvertible, Sendable {
        var seed: UInt64
        /// Days from the first to the second as-of day.
        var shift: Int
        var textIDs = false
        /// Whether lines of the second delivery may be older than the first as-of day.
        var goesBack = true
        /// The first as-of day lies so many days before the last line of the first delivery.
        var lead = 0
        var zone = "UTC"
        /// Whether the second delivery brings values that the first does not have.
        var hasNewValues = false
        /// Whether two categories are one text to Swift's strings: an accent in two forms.
        var hasTwinNames = false
        /// Whether there is a second delivery.
        var isDelivered = true
        /// Whether customers have an attribute, with a segmentation of its own.
        var hasAttributes = false

        /// Whether segments are told by rules and predictions too.
        var hasRules = false

        /// Of some lives only: it takes longer than all else.
        var learnsChurn: Bool { seed % 4 == 1 }

        var testDescription: String {
            "seed \(seed), \(shift) days, lead \(lead), \(zone)\(textIDs ? ", texts" : "")"
        }
    }

    static let lives: [Life] = [
        Life(seed: 1, shift: 0), Life(seed: 2, shift: 1), Life(seed: 3, shift: 7, goesBack: false),
        Life(seed: 4, shift: 29, textIDs: true, hasRules: true), Life(seed: 5, shift: 30, lead: 40),
        Life(seed: 6, shift: 31, zone: "America/New_York"),
        Life(seed: 7, shift: 89, textIDs: true, lead: 3, zone: "Asia/Kolkata"),
        Life(seed: 8, shift: 91, zone: "Pacific/Apia"), Life(seed: 9, shift: 364),
        Life(seed: 10, shift: 366, lead: 200, zone: "Europe/London", hasRules: true),
        Life(seed: 11, shift: 500), Life(seed: 12, shift: 2, hasNewValues: true),
        Life(seed: 13, shift: 12, isDelivered: false), Life(seed: 17, shift: 3, hasTwinNames: true),
        Life(seed: 14, shift: 0, isDelivered: false),
        Life(seed: 15, shift: 5, textIDs: true, lead: 60, isDelivered: false),
        Life(seed: 16, shift: 1, zone: "America/St_Johns", hasRules: true),
    ]

    private static let firstDay = 19_000
    private static let dayCount = 520

    private static let attributes = """

          customers:
            files: []
            id: {column: customer, type: integer}
            attributes: {age: number}
        """

    private static let people = """

          people: {features: [age], clusterCount: 3}
        """

    private static let rules = """

          grid: {algorithm: rfm, levelCount: 3}
          prospects: {algorithm: quadrants, features: [margin365Days, predictedPurchases]}
          stage: {algorithm: lifecycle, newDays: 30, activeDays: 40, lapsedDays: 100}
        """

    private func plan(_ life: Life) -> String {
        """
        version: 1
        timeZone: \(life.zone)
        sources:
          purchases:
            files: [first.csv]
            columns:
              customerID: {column: customer, type: \(life.textIDs ? "text" : "integer")}
              time: {column: time, format: iso8601}
              amount: amount
              margin: margin
              quantity: quantity
              orderID: order
              product: product
              category: category
              promotion: promotion
              channel: channel
          products:
            files: []
            id: product
            attributes: {category: text}\(life.hasAttributes ? Self.attributes : "")
        segmentations:
          value:
            features: [revenue365Days, orderCount30Days, revenue90Days, meanOrderValue, \
        daysSinceLastPurchase, tenureDays, monthlyRevenue, observedAgeDays]
            clusterCount: 3
          behaviour:
            features: [hourShares, categoryShares, channelShares, itemsPerOrder, returnRate]
            clusterCount: 3\(life.hasAttributes ? Self.people : "")\(life.hasRules ? Self.rules : "")
        lifetime: {horizon: 26w}
        churn: {horizon: 60d\(life.learnsChurn ? ", model: trees, reasonCount: 2" : "")}
        affinity: {factorCount: 4, iterations: 3}
        """
    }

    private static let header =
        "customer,time,amount,margin,quantity,order,product,category,promotion,channel\n"

    /// Lines from `days`, times in no order, some returns, orders shared by customers, lines, days
    /// and deliveries.
    private func lines(_ life: Life, delivery: Int, days: Range<Int>, count: Int) -> String {
        var random = SeededRandom(seed: life.seed, stream: UInt64(delivery))
        var text = Self.header
        for _ in 0..<count {
            let customer = random.below(delivery == 0 ? 130 : 150)
            let day = Self.firstDay + days.lowerBound + random.below(days.count)
            let time = CalendarDay(daysSince1970: day).description
            let clock = [random.below(24), random.below(60), random.below(60)].map {
                $0 < 10 ? "0\($0)" : "\($0)"
            }
            let isReturn = random.below(9) == 0
            let cents = 100 + random.below(9_000)
            let order = random.below(4) == 0 ? "" : "o\(random.below(60))"
            var category = random.below(8) == 0 ? "" : "c\(random.below(5))"
            if life.hasTwinNames, category == "c1" { category = "caf\u{E9}" }
            if life.hasTwinNames, category == "c2" { category = "cafe\u{301}" }
            let isNew = life.hasNewValues && delivery > 0 && random.below(10) == 0
            text +=
                (life.textIDs ? "id-\(customer * 37 % 150)" : "\(customer)")
                + ",\(time)T\(clock.joined(separator: ":"))Z,\(isReturn ? "-" : "")\(cents / 100).5"
                + ",\(cents / 300),\(random.below(4)),\(order)"
                + ",p\(random.below(delivery == 0 ? 40 : 44)),\(isNew ? "unheard" : category)"
                + ",\(random.below(5) == 0 ? "sale" : ""),\(random.below(2) == 0 ? "web" : "shop")\n"
        }
        return text
    }

    /// Calls `body` with the workspace after the first delivery, the days, and what delivers the
    /// second.
    func withLife(
        _ life: Life,
        _ body: (URL, CalendarDay, CalendarDay, () throws -> Void) throws -> Void
    ) throws {
        try withTemporaryFolder { folder in
            let first = Self.firstDay + Self.dayCount - 1
            let asOf = CalendarDay(daysSince1970: first - life.lead)
            let later = asOf + life.shift
            try folder.write(
                lines(life, delivery: 0, days: 0..<Self.dayCount, count: 1_500), as: "first.csv")
            let from = life.goesBack ? Self.dayCount - 100 : Self.dayCount - life.lead
            let upTo = max(from + 1, Self.dayCount - life.lead + life.shift + 3)
            try folder.write(
                lines(life, delivery: 1, days: from..<upTo, count: 25), as: "second.csv")
            let planPath = try folder.write(plan(life), as: "patron.yaml")
            try Workspace.create(folder: folder.sub("ws"), planPath: planPath)
            _ = try Workspace(folder: folder.sub("ws"), access: .writing).ingest()
            try body(folder, asOf, later) {
                guard life.isDelivered else { return }
                _ = try Workspace(folder: folder.sub("ws"), access: .writing)
                    .ingest(IngestFiles(purchases: [folder.sub("second.csv")]))
            }
        }
    }

    func open(
        _ folder: URL, _ name: String = "ws", _ access: Workspace.Access = .reading
    ) throws -> Workspace {
        try Workspace(folder: folder.sub(name), access: access)
    }

    private func requireEqual(_ a: FeatureTable, _ b: FeatureTable) {
        #expect(a.asOf == b.asOf)
        #expect(a.customerIDs == b.customerIDs)
        #expect(a.convention == b.convention)
        #expect(a.lines == b.lines)
        #expect(a.groups == b.groups)
        #expect(a.history == b.history)
        #expect(a.columns.map(\.name) == b.columns.map(\.name))
        for (one, other) in zip(a.columns, b.columns) {
            #expect(one == other, "\(one.name)")
        }
    }

    @Test(arguments: lives)
    func featuresGoOnFromAnEarlierDay(life: Life) throws {
        try withLife(life) { folder, asOf, later, deliver in
            let before = try open(folder).features(asOf: asOf, usesCache: true, threadCount: 2)
            #expect(before.rowCount > 100)
            try deliver()
            var reports: [String] = []
            let carried = try open(folder).features(
                asOf: later, usesCache: true, threadCount: 2, report: { reports.append($0) })
            let computed = try open(folder).features(asOf: later, threadCount: 1)
            requireEqual(carried, computed)
            let isCarried = reports.contains { $0.contains("as they were on \(asOf)") }
            #expect(isCarried == !life.hasNewValues, "\(reports)")
            // And once more from there, on the same day.
            let again = try open(folder).features(asOf: later, usesCache: true, threadCount: 2)
            requireEqual(again, computed)
            let unique = try open(folder)
            _ = try unique.features(asOf: later, usesCache: true, threadCount: 2)
            let history = computed.history
            #expect(
                try unique.collapsedHistory(asOf: later, threadCount: 2)
                    == CollapsedHistory(
                        repeatPurchaseCount: history.repeatPurchaseCount,
                        ageAtLastPurchaseDays: history.ageAtLastPurchaseDays,
                        observedAgeDays: history.observedAgeDays,
                        include: history.status.map { $0 == CustomerHistory.ok }))
            // A day before that of the cache is computed from the lines.
            reports = []
            let back = try open(folder).features(
                asOf: asOf, usesCache: true, threadCount: 2, report: { reports.append($0) })
            #expect(reports.contains { $0.contains("a later day") } == (life.shift > 0))
            requireEqual(back, try open(folder).features(asOf: asOf, threadCount: 2))
        }
    }

    /// Models whose survey goes on from that of an earlier training are, byte for byte, those of a
    /// workspace without caches.
    @Test(arguments: lives.prefix(6) + lives.suffix(5))
    func modelsGoOnFromAnEarlierSurvey(life: Life) throws {
        try withLife(life) { folder, asOf, later, deliver in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try deliver()
            let files = FileManager.default
            try files.copyItem(atPath: folder.sub("ws"), toPath: folder.sub("bare"))
            try files.removeItem(atPath: folder.sub("bare/cache"))
            var reports: [String] = []
            let carried = try open(folder, "ws", .writing)
            let summary = try carried.train(
                asOf: later, threadCount: 2, report: { reports.append($0) })
            let bare = try open(folder, "bare", .writing)
            _ = try bare.train(asOf: later, threadCount: 1)
            let modelCount = 4 + (life.learnsChurn ? 1 : 0) + (life.hasRules ? 3 : 0)
            #expect(
                summary.models.count == modelCount && summary.notFitted.isEmpty,
                "\(summary.notFitted)")
            let isCarried = reports.contains { $0.contains("as they were on \(asOf)") }
            #expect(isCarried == !life.hasNewValues, "\(reports)")
            #expect(carried.manifest.models == bare.manifest.models)
            for model in carried.manifest.models {
                let paths = ["ws", "bare"].map { folder.sub("\($0)/\(model.file)") }
                #expect(
                    try Data(contentsOf: URL(fileURLWithPath: paths[0]))
                        == Data(contentsOf: URL(fileURLWithPath: paths[1])), "\(model.file)")
            }
        }
    }

    /// Files of a generation whose bytes are those of a scoring without any cache.
    private static let files = ["lookup.arr", "segments.json", "profiles.json", "scores.seg"]

    /// Scores a workspace and a copy of it without caches, and compares the generations: files byte by
    /// byte, and every answer about products and customers.
    /// - Returns: what the first scoring reports.
    @discardableResult
    func scoreAndCompare(
        _ folder: URL, _ asOf: CalendarDay, generation: Int
    ) throws -> [String] {
        let files = FileManager.default
        try? files.removeItem(atPath: folder.sub("bare"))
        try files.copyItem(atPath: folder.sub("ws"), toPath: folder.sub("bare"))
        try? files.removeItem(atPath: folder.sub("bare/cache"))
        var reports: [String] = []
        let summary = try open(folder, "ws", .writing).score(
            asOf: asOf, threadCount: 2, report: { reports.append($0) })
        _ = try open(folder, "bare", .writing).score(asOf: asOf, threadCount: 1)
        #expect(summary.generation == generation)
        let name = "snapshots/\(SnapshotWriter.folderName(generation: generation))"
        for file in Self.files {
            let carried = try Data(
                contentsOf: URL(fileURLWithPath: folder.sub("ws/\(name)/\(file)")))
            let computed = try Data(
                contentsOf: URL(fileURLWithPath: folder.sub("bare/\(name)/\(file)")))
            #expect(carried == computed, "\(file) of generation \(generation)")
        }
        let carried = try ServingSnapshot(folder: folder.sub("ws/\(name)"))
        let computed = try ServingSnapshot(folder: folder.sub("bare/\(name)"))
        let affinity = try #require(computed.affinity)
        #expect(carried.customerCount > 100 && carried.productCount == affinity.productCount)
        for excludes in [false, true] {
            for row in 0..<computed.customerCount {
                let id = computed.customers[row]
                #expect(
                    carried.topProducts(customer: id, count: 5, excludesPurchased: excludes)
                        == computed.topProducts(customer: id, count: 5, excludesPurchased: excludes)
                )
            }
            for row in 0..<affinity.productCount {
                let id = affinity.productID(row)
                #expect(
                    carried.topCustomers(product: id, count: 30, excludesPurchasers: excludes)
                        == computed.topCustomers(
                            product: id, count: 30, excludesPurchasers: excludes))
            }
        }
        return reports
    }

    /// Trains a workspace and a copy of it without caches, and compares the models.
    /// - Returns: what the first training reports.
    private func trainAndCompare(_ folder: URL, _ asOf: CalendarDay) throws -> [String] {
        let files = FileManager.default
        try files.copyItem(atPath: folder.sub("ws"), toPath: folder.sub("untrained"))
        try files.removeItem(atPath: folder.sub("untrained/cache"))
        var reports: [String] = []
        for (name, threadCount) in [("ws", 2), ("untrained", 1)] {
            _ = try open(folder, name, .writing).train(
                asOf: asOf, only: ["lifetime"], threadCount: threadCount,
                report: { if name == "ws" { reports.append($0) } })
        }
        let names = try files.contentsOfDirectory(atPath: folder.sub("ws/models")).sorted()
        #expect(names.filter { $0.hasPrefix("lifetime") }.count == 2)
        for name in names {
            #expect(
                files.contentsEqual(
                    atPath: folder.sub("ws/models/\(name)"),
                    andPath: folder.sub("untrained/models/\(name)")), "\(name)")
        }
        return reports
    }

    @Test(arguments: lives.prefix(12) + lives.suffix(3))
    func scoresGoOnFromAnEarlierGeneration(life: Life) throws {
        try withLife(life) { folder, asOf, later, deliver in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            try deliver()
            try scoreAndCompare(folder, later, generation: 2)
            // And once more the next day, without any new line.
            try scoreAndCompare(folder, later + 1, generation: 3)
        }
    }

    /// The most frequent category is another one after a delivery, and so the order of the shares: no
    /// reason to write those of all customers anew.
    @Test func anotherOrderOfSharesKeepsTheCache() throws {
        try withLife(Life(seed: 71, shift: 0)) { folder, asOf, _, _ in
            func names(_ table: FeatureTable) -> [String] {
                table.columns.map(\.name).filter { $0.hasPrefix("categoryShare") }
            }
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            let before = names(try open(folder).features(asOf: asOf, threadCount: 2))
            var text = Self.header
            for line in 0..<600 {
                text += "7,\(asOf)T10:00:00Z,5.5,1,1,x\(line),p1,c\(line % 2 * 3 + 1),,web\n"
            }
            let path = try folder.write(text, as: "more.csv")
            _ = try open(folder, "ws", .writing).ingest(IngestFiles(purchases: [path]))
            func number() throws -> Int? {
                let attributes = try FileManager.default.attributesOfItem(
                    atPath: folder.sub("ws/cache/features.arr"))
                return attributes[.systemFileNumber] as? Int
            }
            let file = try number()
            let reports = try scoreAndCompare(folder, asOf, generation: 2)
            #expect(!reports.contains { $0.hasPrefix("computing all") }, "\(reports)")
            #expect(try number() == file)
            let after = names(try open(folder).features(asOf: asOf, threadCount: 2))
            #expect(after != before && Set(after) == Set(before), "\(before) \(after)")
            // From the changed ones, whose order is another than that of all.
            try scoreAndCompare(folder, asOf + 1, generation: 3)
        }
    }

    /// Few customers change with each of these deliveries, until together they are many.
    @Test(arguments: [0, 1], [false, true])
    func scoresGoOnFromDeliveryToDelivery(shift: Int, textIDs: Bool) throws {
        let life = Life(seed: UInt64(31 + shift), shift: shift, textIDs: textIDs)
        try withLife(life) { folder, asOf, _, _ in
            func size(_ name: String) -> Int? {
                let path = folder.sub("ws/cache/\(name)")
                return try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            }
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            var reports: [String] = []
            var changedSizes: [Int] = []
            var sharedCount = 0
            for delivery in 1...6 {
                let end = Self.dayCount + delivery * shift
                let path = try folder.write(
                    lines(life, delivery: delivery, days: end - 3..<end, count: 11),
                    as: "more\(delivery).csv")
                _ = try open(folder, "ws", .writing).ingest(IngestFiles(purchases: [path]))
                reports += try scoreAndCompare(
                    folder, asOf + delivery * shift, generation: delivery + 1)
                changedSizes.append(size("features-changed.arr") ?? 0)
                let name = "snapshots/\(SnapshotWriter.folderName(generation: delivery + 1))"
                let names =
                    try FileManager.default.attributesOfItem(
                        atPath: folder.sub("ws/\(name)/affinity.arr"))[.referenceCount] as? Int
                sharedCount += names ?? 0 > 1 ? 1 : 0
                if delivery == 4 {
                    _ = try open(folder, "ws", .writing).publish()
                    _ = try open(folder, "ws", .writing).prune()
                }
            }
            #expect(!reports.contains { $0.hasPrefix("computing all features") }, "\(reports)")
            // They grow, and begin anew after a file of all customers.
            #expect(changedSizes.contains(0) && changedSizes[0] > 0, "\(changedSizes)")
            #expect((3..<6).contains(sharedCount), "\(sharedCount)")
            let isGrowing = zip(changedSizes, changedSizes.dropFirst()).contains {
                0 < $0 && $0 < $1
            }
            #expect(isGrowing, "\(changedSizes)")
            let problems = try open(folder).verify().problems
            #expect(problems.isEmpty, "\(problems)")
        }
    }

    /// Deliveries that are merged into one segment now and then, those that the caches know among
    /// themselves: scores and features go on from the caches all the same.
    @Test(arguments: zip([4, 9], [0, 1]))
    func cachesOutliveMerges(deliveriesAScoring: Int, shift: Int) throws {
        let life = Life(seed: UInt64(51 + shift), shift: shift, textIDs: shift == 1)
        try withLife(life) { folder, asOf, _, _ in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            var reports: [String] = []
            var (mergeCount, generation) = (0, 1)
            for delivery in 1...deliveriesAScoring * (6 - 4 * shift) {
                let end = Self.dayCount + generation * shift
                let path = try folder.write(
                    lines(life, delivery: delivery, days: end - 3..<end, count: 5),
                    as: "more\(delivery).csv")
                let summary = try open(folder, "ws", .writing).ingest(
                    IngestFiles(purchases: [path]))
                #expect(summary.compactionProblem == nil)
                mergeCount += summary.compaction == nil ? 0 : 1
                guard delivery % deliveriesAScoring == 0 else { continue }
                generation += 1
                let day = asOf + (generation - 1) * shift
                if generation == 3 { reports += try trainAndCompare(folder, day) }
                reports += try scoreAndCompare(folder, day, generation: generation)
            }
            #expect(mergeCount > 0)
            #expect(
                !reports.contains {
                    $0.hasPrefix("computing all") || $0.hasPrefix("products of all")
                        || shift == 0 && $0.contains("of all customers")
                }, "\(reports)")
            #expect(reports.contains { $0.contains("customers as they were on") })
            let problems = try open(folder).verify().problems
            #expect(problems.isEmpty, "\(problems)")
        }
    }

    /// A setting, or a file, that values depend on, and the parts of a scoring that it changes.
    struct Change: CustomTestStringConvertible, Sendable {
        var name: String
        var old = ""
        var new = ""
        var brings: [String]
        var testDescription: String { name }
    }

    private static let allParts = ["computing all features: ", "segments of all customers: "]

    @Test(arguments: [
        Change(
            name: "time zone", old: "timeZone: UTC", new: "timeZone: Asia/Kolkata",
            brings: allParts + ["products of all customers: "]),
        Change(
            name: "margin rate", old: "version: 1", new: "version: 1\ngrossMarginRate: 0.55",
            brings: allParts),
        Change(name: "product file", brings: allParts),
        Change(
            name: "number of products", old: "iterations: 3",
            new: "iterations: 3, topProductCount: 4", brings: ["products of all customers: "]),
        Change(
            name: "exclusion", old: "iterations: 3", new: "iterations: 3, excludePurchased: false",
            brings: ["products of all customers: "]),
    ])
    func whatValuesDependOnRefusesTheCaches(change: Change) throws {
        let life = Life(seed: 61, shift: 0)
        try withLife(life) { folder, asOf, _, deliver in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            let first = try scoreAndCompare(folder, asOf, generation: 1)
            for part in ["segments of all customers: ", "products of all customers: "] {
                #expect(first.contains("\(part)none are kept"), "\(first)")
            }
            try deliver()
            if change.old.isEmpty {
                let path = try folder.write("product,category\np1,c1\np2,c2\n", as: "products.csv")
                _ = try open(folder, "ws", .writing).ingest(IngestFiles(products: [path]))
            } else {
                let path = folder.sub("ws/patron.yaml")
                let plan = try String(contentsOfFile: path, encoding: .utf8)
                let changed = plan.replacingOccurrences(of: change.old, with: change.new)
                #expect(changed != plan)
                try Data(changed.utf8).write(to: URL(fileURLWithPath: path))
            }
            let reports = try scoreAndCompare(folder, asOf, generation: 2)
            for part in Self.allParts + ["products of all customers: "] {
                #expect(
                    reports.contains { $0.hasPrefix(part) } == change.brings.contains(part),
                    "\(part) \(reports)")
            }
            // Those written now are of use again.
            let again = try scoreAndCompare(folder, asOf, generation: 3)
            #expect(!again.contains { $0.contains(" all ") }, "\(again)")
        }
    }

    /// Other models, and caches that are damaged, missing or of another scoring, cost a full
    /// computation, which a line explains.
    @Test func whatIsNotOfUseIsComputedAnew() throws {
        let life = Life(seed: 41, shift: 1)
        try withLife(life) { folder, asOf, _, _ in
            _ = try open(folder, "ws", .writing).train(asOf: asOf, threadCount: 2)
            try scoreAndCompare(folder, asOf, generation: 1)
            var generation = 1
            func next(_ change: () throws -> Void) throws -> String {
                generation += 1
                let path = try folder.write(
                    lines(
                        life, delivery: generation,
                        days: Self.dayCount - 2..<Self.dayCount, count: 4),
                    as: "more\(generation).csv")
                _ = try open(folder, "ws", .writing).ingest(IngestFiles(purchases: [path]))
                try change()
                return try scoreAndCompare(folder, asOf, generation: generation)
                    .joined(separator: "\n")
            }
            func damage(_ name: String) throws {
                let url = URL(fileURLWithPath: folder.sub("ws/\(name)"))
                var bytes = try Data(contentsOf: url)
                bytes[bytes.count * 2 / 3] ^= 1
                try bytes.write(to: url)
            }
            #expect(try !next {}.contains("all customers"))
            let damagedSegments = try next { try damage("cache/segments.arr") }
            #expect(damagedSegments.contains("segments of all customers: "), "\(damagedSegments)")
            let damagedChanges = try next { try damage("cache/features-changed.arr") }
            #expect(damagedChanges.contains("computing all features: "), "\(damagedChanges)")
            let otherModel = try next {
                _ = try open(folder, "ws", .writing).train(
                    asOf: asOf, only: ["segmentation.behaviour"], threadCount: 2)
            }
            #expect(
                otherModel.contains("segmentation.behaviour of all customers: the last scoring"),
                "\(otherModel)")
            // What the generation of the last scoring holds is looked at before it is used again.
            let folderName = SnapshotWriter.folderName(generation: generation)
            let damagedRows = try next { try damage("snapshots/\(folderName)/affinity.arr") }
            #expect(damagedRows.contains("products of all customers: "), "\(damagedRows)")
            _ = try next {}
            let name = SnapshotWriter.folderName(generation: generation)
            let damagedChange = try next { try damage("snapshots/\(name)/affinity-changed.arr") }
            #expect(damagedChange.contains("products of all customers: "), "\(damagedChange)")
            let otherFactors = try next {
                _ = try open(folder, "ws", .writing).train(
                    asOf: asOf, only: ["affinity"], threadCount: 2)
            }
            #expect(otherFactors.contains("products of all customers: "), "\(otherFactors)")
            // The caches of an earlier scoring are as good as those of the last.
            let (cache, kept) = (folder.sub("ws/cache"), folder.sub("kept"))
            try FileManager.default.copyItem(atPath: cache, toPath: kept)
            _ = try next {}
            let older = try next {
                try FileManager.default.removeItem(atPath: cache)
                try FileManager.default.moveItem(atPath: kept, toPath: cache)
            }
            #expect(older.contains("customers as they were on"), "\(older)")
            // Those of the changed customers without the file that they go on from.
            _ = try next {
                try FileManager.default.removeItem(atPath: "\(cache)/features.arr")
            }
        }
    }

    /// What is wrong with a cache costs time, never a result or an error.
    @Test func badCachesAreLeftAlone() throws {
        try withLife(Life(seed: 21, shift: 3)) { folder, asOf, later, deliver in
            _ = try open(folder).features(asOf: asOf, usesCache: true, threadCount: 2)
            let path = URL(fileURLWithPath: folder.sub("ws/cache/features.arr"))
            let good = try Data(contentsOf: path)
            try deliver()
            let computed = try open(folder).features(asOf: later, threadCount: 2)
            var damaged: [Data] = [Data(), Data("no array file".utf8), good.prefix(good.count / 2)]
            for place in stride(from: 20, to: good.count, by: good.count / 40) {
                var bytes = good
                bytes[place] ^= 0x10
                damaged.append(bytes)
            }
            for bytes in damaged {
                try bytes.write(to: path)
                var reports: [String] = []
                let table = try open(folder).features(
                    asOf: later, usesCache: true, threadCount: 2, report: { reports.append($0) })
                requireEqual(table, computed)
                #expect(reports.contains { $0.hasPrefix("computing all features") })
            }
            // A cache of the same days of another workspace.
            try withLife(Life(seed: 22, shift: 3)) { other, asOf, _, _ in
                _ = try open(other).features(asOf: asOf, usesCache: true, threadCount: 2)
                try Data(contentsOf: URL(fileURLWithPath: other.sub("ws/cache/features.arr")))
                    .write(to: path)
            }
            requireEqual(
                try open(folder).features(asOf: later, usesCache: true, threadCount: 2), computed)
        }
    }
}
