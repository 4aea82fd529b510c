import Engine

/// What the texts about segments share.
enum SegmentText {
    /// A row of the table of indexes.
    struct Feature {
        var name: String
        /// Of all customers.
        var mean: Double?
        /// By segment; a segment without one is not in it.
        var indexes: [Int: Double] = [:]
    }

    /// Segments side by side in a table of indexes.
    private static let columnCount = 10

    static func percent(_ share: Double?) -> String {
        share.map { ($0 * 100).decimals(1) + " %" } ?? ""
    }

    static func money(_ value: Double?) -> String {
        value.map(\.grouped) ?? ""
    }

    /// `+1.8`.
    static func deviations(_ difference: Double) -> String {
        (difference < 0 ? "" : "+") + difference.decimals(1)
    }

    /// When a customer was where.
    static func stays(_ stays: [SegmentStay]) -> String {
        var table = TextTable(["segmentation", "no>", "segment", "entered", "left"])
        for stay in stays {
            table.add([
                stay.segmentation, "\(stay.segment)", stay.name ?? "(ended)", stay.entered,
                stay.left ?? "-",
            ])
        }
        return table.text
    }

    /// Indexes feature by feature, some segments side by side.
    static func indexes(_ features: [Feature], of segments: [Int]) -> String {
        var lines: [String] = []
        for start in stride(from: 0, to: segments.count, by: columnCount) {
            let part = segments[start..<min(segments.count, start + columnCount)]
            var table = TextTable(
                ["index (all = 100)", "mean of all>"] + part.map { "segment \($0)>" })
            for feature in features {
                table.add(
                    [SegmentNames.plain(feature.name), feature.mean.map { $0.decimals(3) } ?? "-"]
                        + part.map { id in feature.indexes[id].map { $0.decimals(0) } ?? "-" })
            }
            lines.append(table.text)
        }
        return lines.joined(separator: "\n\n")
    }
}

extension SegmentProfileReport {
    var text: String {
        var table = TextTable([
            "no>", "name", "customers>", "share>", "revenue>", "share>", "margin>", "share>",
            "mean lifetime value>", "mean churn>", "mean orders to come>",
        ])
        for segment in segments {
            table.add([
                "\(segment.id)", segment.name, segment.customerCount.grouped,
                SegmentText.percent(segment.customerShare), SegmentText.money(segment.revenue),
                SegmentText.percent(segment.revenueShare), SegmentText.money(segment.margin),
                SegmentText.percent(segment.marginShare),
                segment.meanLifetimeValue?.decimals(2) ?? "",
                segment.meanChurnProbability?.decimals(3) ?? "",
                segment.meanExpectedPurchases?.decimals(3) ?? "",
            ])
        }
        let version = modelVersion.map { ", model version \($0)" } ?? ""
        var lines = [
            "\(segmentation): generation \(generation), as of \(asOf), \(currency)\(version)",
            table.text,
        ]
        let apart = segments.filter { !$0.distinctions.isEmpty }
        if !apart.isEmpty {
            lines.append(
                "\nwhat sets them apart: the index (all = 100), and standard deviations from all")
        }
        for segment in apart {
            let texts = segment.distinctions.map { found in
                (found.category.map { "\(found.feature) = \($0)" }
                    ?? SegmentNames.plain(found.feature))
                    + (found.index.map { " \($0.decimals(0))" } ?? "")
                    + " (\(SegmentText.deviations(found.difference)))"
            }
            lines.append("\(segment.id) \(segment.name): " + texts.joined(separator: ", "))
        }
        guard let features else { return lines.joined(separator: "\n") }
        let ids = segments.map(\.id)
        var rows = features.numbers.map { column in
            var row = SegmentText.Feature(name: column.name, mean: column.mean)
            for (id, part) in zip(ids, column.segments) { row.indexes[id] = part.index }
            return row
        }
        for column in features.categories {
            var categories: [String: SegmentText.Feature] = [:]
            for (id, shares) in zip(ids, column.segments) {
                for share in shares {
                    let name = "\(column.name) = \(share.category)"
                    categories[
                        name,
                        default: SegmentText.Feature(
                            name: name, mean: share.overallShare)
                    ].indexes[id] = share.index
                }
            }
            rows += categories.sorted { $0.key < $1.key }.map(\.value)
        }
        return lines.joined(separator: "\n") + "\n\n" + SegmentText.indexes(rows, of: ids)
    }
}

extension SegmentMigrationReport {
    /// Segments of a matrix that is printed whole; of larger ones the largest moves are.
    private static let matrixCount = 12
    private static let moveCount = 30

    var text: String {
        let share = customerCount > 0 ? Double(movedCount) / Double(customerCount) : 0
        var lines = [
            "\(segmentation): from \(from) to \(to)",
            "\(movedCount.grouped) of \(customerCount.grouped) customers "
                + "(\((share * 100).decimals(1)) %) moved\(revenueWords); "
                + "\(newCount.grouped) new, \(goneCount.grouped) gone; "
                + "adjusted Rand \(adjustedRand.decimals(4))",
        ]
        if max(fromSegments.count, toSegments.count) <= Self.matrixCount {
            lines.append("\n" + matrixText("customers") { $0.grouped })
            if matrix.amounts != nil { lines.append("\n" + revenueText) }
        } else {
            lines.append("\n" + movesText)
        }
        return lines.joined(separator: "\n")
    }

    private var revenueWords: String {
        guard let movedRevenue, let revenueAsOf else { return "" }
        return ", with a revenue of \(movedRevenue.grouped) \(currency) up to \(revenueAsOf)"
    }

    private static func title(_ segment: Segment) -> String {
        "\(segment.id) \(segment.name ?? "(ended)")"
    }

    private var columnTitles: [String] {
        toSegments.map { "to \($0.id)>" } + ["to none>"]
    }

    private func rowTitle(_ row: Int) -> String {
        row < fromSegments.count ? "from " + Self.title(fromSegments[row]) : "from none"
    }

    private func matrixText(_ what: String, _ cell: (Int) -> String) -> String {
        var table = TextTable([what] + columnTitles)
        for row in 0...fromSegments.count {
            table.add(
                [rowTitle(row)]
                    + (0...toSegments.count).map { cell(matrix.count(from: row, to: $0)) })
        }
        return table.text
    }

    private var revenueText: String {
        var table = TextTable(["revenue"] + columnTitles)
        for row in 0...fromSegments.count {
            table.add(
                [rowTitle(row)]
                    + (0...toSegments.count).map {
                        SegmentText.money(matrix.amount(from: row, to: $0))
                    })
        }
        return table.text
    }

    /// The moves of the most customers.
    private var movesText: String {
        var moves: [(from: Int, to: Int, count: Int)] = []
        for (row, old) in fromSegments.enumerated() {
            for (column, new) in toSegments.enumerated() where old.id != new.id {
                let count = matrix.count(from: row, to: column)
                if count > 0 { moves.append((row, column, count)) }
            }
        }
        moves.sort { ($1.count, $0.from, $0.to) < ($0.count, $1.from, $1.to) }
        let hasRevenue = matrix.amounts != nil
        var table = TextTable(["from", "to", "customers>"] + (hasRevenue ? ["revenue>"] : []))
        for move in moves.prefix(Self.moveCount) {
            let revenue = SegmentText.money(matrix.amount(from: move.from, to: move.to))
            table.add(
                [
                    Self.title(fromSegments[move.from]), Self.title(toSegments[move.to]),
                    move.count.grouped,
                ] + (hasRevenue ? [revenue] : []))
        }
        let rest = moves.count - Self.moveCount
        return table.text + (rest > 0 ? "\nand \(rest) smaller moves; --json has all" : "")
    }
}

extension LedgerChange {
    var text: String {
        if let reason { return "  ledger of \(segmentation): \(asOf) is not entered, \(reason)" }
        return
            "  ledger of \(segmentation): \(enteredCount.grouped) customers came into a segment, "
            + "\(leftCount.grouped) left one, as of \(asOf)"
    }
}
