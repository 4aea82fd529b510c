import ColumnStore
import Models
package import Units

/// Who moved between the segments of a segmentation from one published day to another, by the ledger.
package struct SegmentMigrationReport: Encodable, Sendable {
    package struct Segment: Encodable, Sendable {
        package var id: Int
        /// Nil for one that is no more.
        package var name: String?
    }

    package var segmentation: String
    /// As-of days of the ledger, `yyyy-MM-dd`.
    package var from: String
    package var to: String
    package var currency: String
    /// Revenue is that of the moved customers up to this day; nil, as all revenue, in a workspace
    /// without purchases.
    package var revenueAsOf: String?
    /// Segments that anybody was in, by id: the rows and columns of the matrix, before the last ones,
    /// which are of customers without a segment.
    package var fromSegments: [Segment]
    package var toSegments: [Segment]
    package var matrix: Matrix
    /// Customers with a segment on both days.
    package var customerCount: Int
    package var movedCount: Int
    package var movedRevenue: Double?
    /// Customers with a segment on the later day alone, and on the earlier day alone.
    package var newCount: Int
    package var goneCount: Int
    package var adjustedRand: Double

    /// `SegmentMigration` as it is reported.
    package struct Matrix: Encodable, Sendable {
        package let oldCount: Int
        package let newCount: Int
        /// `[(oldCount + 1) × (newCount + 1)]`, row-major: customers; in the last row in no old
        /// segment, in the last column in no new one.
        package let counts: [Int]
        /// The same of their revenue; nil without purchases.
        package let amounts: [Double]?

        init(_ migration: SegmentMigration, hasAmounts: Bool) {
            (oldCount, newCount) = (migration.oldCount, migration.newCount)
            counts = migration.counts
            amounts = hasAmounts ? migration.amounts : nil
        }

        package func count(from old: Int, to new: Int) -> Int {
            counts[old * (newCount + 1) + new]
        }

        package func amount(from old: Int, to new: Int) -> Double? {
            amounts?[old * (newCount + 1) + new]
        }
    }
}

extension Workspace {
    /// Customers and, where the workspace has purchases, their revenue.
    /// - Parameters:
    ///   - name: of a segmentation.
    ///   - from, to: the ledger's state on a day is that of the last published day up to it; nil for
    ///     the two latest published days.
    /// - Throws: `.noLedger` where the ledger does not know the days; `.noSnapshot` where no
    ///   generation is left to take the customers from.
    package func segmentMigration(
        of name: String, from: CalendarDay? = nil, to: CalendarDay? = nil
    ) throws(EngineError) -> SegmentMigrationReport {
        guard let ledger = manifest.ledgers?[name] else {
            let known = (manifest.ledgers ?? [:]).keys.sorted().joined(separator: ", ")
            throw .noLedger(
                segmentation: name,
                reason: known.isEmpty
                    ? "nothing is in the ledgers yet: `patron publish` keeps them"
                    : "there is no ledger of it; there are those of \(known)")
        }
        let (first, second) = try ledgerDays(ledger, name, from, to)
        let snapshot = try snapshotOfCustomers(on: second)
        let (old, new) = try ledgerSegments(ledger, in: snapshot, first, second)
        let field = snapshot.columns.firstIndex { $0.name == "revenue" }
        let revenue = field.map { field in
            (0..<snapshot.customerCount).map { snapshot.strip.value(field: field, row: $0) ?? 0 }
        }
        let names = try publishedSegments().first { $0.segmentation == name }?.segments ?? []
        func ranked(_ ids: [Int32]) -> (ids: [Int], places: [Int32]) {
            let sorted = Set(ids).filter { $0 >= 0 }.sorted()
            let places = Dictionary(
                uniqueKeysWithValues: sorted.enumerated().map { ($1, Int32($0)) })
            return (sorted.map { Int($0) }, ids.map { places[$0] ?? -1 })
        }
        let (before, after) = (ranked(old), ranked(new))
        let matrix = try modelErrors("segmentation.\(name)") { () throws(ModelError) in
            try SegmentMigration(
                old: before.places, new: after.places, oldCount: before.ids.count,
                newCount: after.ids.count, amounts: revenue ?? [])
        }
        let moves = SegmentRefit(matrix, version: 0, from: before.ids, to: after.ids)
        func segments(_ ids: [Int]) -> [SegmentMigrationReport.Segment] {
            ids.map { id in .init(id: id, name: names.first { $0.number == id }?.name) }
        }
        return SegmentMigrationReport(
            segmentation: name, from: first.description, to: second.description,
            currency: snapshot.currency,
            revenueAsOf: revenue == nil ? nil : snapshot.asOf.description,
            fromSegments: segments(before.ids), toSegments: segments(after.ids),
            matrix: .init(matrix, hasAmounts: revenue != nil),
            customerCount: moves.customerCount, movedCount: moves.movedCount,
            movedRevenue: revenue == nil ? nil : moves.movedRevenue,
            newCount: after.ids.indices.reduce(0) {
                $0 + matrix.count(from: before.ids.count, to: $1)
            },
            goneCount: before.ids.indices.reduce(0) {
                $0 + matrix.count(from: $1, to: after.ids.count)
            }, adjustedRand: moves.adjustedRand)
    }

    /// The days of the ledger that are compared.
    private func ledgerDays(
        _ ledger: Manifest.Ledger, _ name: String, _ from: CalendarDay?, _ to: CalendarDay?
    ) throws(EngineError) -> (CalendarDay, CalendarDay) {
        let days = ledger.days.compactMap { CalendarDay(parsing: $0) }
        func missing(_ reason: String) -> EngineError {
            .noLedger(segmentation: name, reason: reason)
        }
        guard let earliest = days.first, let latest = days.last else {
            throw missing("it holds no day")
        }
        func known(_ day: CalendarDay) throws(EngineError) -> CalendarDay {
            guard let last = days.last(where: { $0 <= day }) else {
                throw missing("it begins on \(earliest), after \(day)")
            }
            return last
        }
        let second = try to.map(known) ?? latest
        guard let first = try from.map(known) ?? days.last(where: { $0 < second }) else {
            throw missing(
                "it holds no day before \(second): moves show when a later day is published")
        }
        guard first < second else {
            throw missing(
                "no day was published between \(from ?? first) and \(to ?? second)")
        }
        return (first, second)
    }

    /// The generation that is nearest to a day and not before it.
    private func snapshotOfCustomers(on day: CalendarDay) throws(EngineError) -> ServingSnapshot {
        var nearest: (day: CalendarDay, location: SnapshotLocation)?
        for generation in manifest.generations {
            let path = "\(folder)/\(generation.folder)"
            let asOf = try SnapshotDescriptor(folder: path).asOfDay
            let isNearer = nearest.map { asOf < $0.day } ?? true
            if asOf >= day, isNearer || nearest?.day == asOf {
                nearest = (
                    asOf, SnapshotLocation(generation: generation.number, folder: path)
                )
            }
        }
        guard let nearest else {
            throw .noSnapshot(
                workspace: folder,
                what: "no generation as of \(day) or later is left to take the customers from: run "
                    + "`patron score --as-of \(day)`")
        }
        return try ServingSnapshot(nearest.location)
    }

    /// The segment of each of a generation's customers on two days, -1 for none.
    private func ledgerSegments(
        _ ledger: Manifest.Ledger, in snapshot: ServingSnapshot, _ first: CalendarDay,
        _ second: CalendarDay
    ) throws(EngineError) -> (old: [Int32], new: [Int32]) {
        let days = (Int32(clamping: first.daysSince1970), Int32(clamping: second.daysSince1970))
        var old = [Int32](repeating: -1, count: snapshot.customerCount)
        var new = old
        for segment in ledger.segments {
            let path = "\(folder)/\(segment.file)"
            let stays = try mapErrors(EngineError.store) { () throws(StoreError) in
                try SegmentStays(SegmentReader(path: path))
            }
            for row in 0..<stays.count {
                let entered = stays.entered[row]
                let left = stays.left?[row] ?? .max
                let isOld = entered <= days.0 && days.0 < left
                let isNew = entered <= days.1 && days.1 < left
                guard isOld || isNew, let place = snapshot.row(of: stays.customers[row]) else {
                    continue
                }
                if isOld { old[place] = stays.segments[row] }
                if isNew { new[place] = stays.segments[row] }
            }
        }
        return (old, new)
    }
}
