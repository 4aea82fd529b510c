import Engine

extension TierReport {
    var text: String {
        var lines = [
            "value tiers as of \(asOf), by lifetime model version \(model.version) "
                + "(\(model.algorithm), as of \(model.asOf))"
        ]
        if !model.isOfThisPlan { lines.append("the plan has changed since the model's training") }
        lines += ["", "tier by days since the first order (down) and since the last one (across)"]
        lines.append(map)
        lines.append("")
        lines.append(tierTable)
        lines.append(
            (valueKind == "lifetimeValue"
                ? "expected value: \(basis) of the next \(horizon), discounted"
                : "expected value: orders of the next \(horizon), as no order values were fitted")
                + "; revenue and margin: of all orders so far, net of returns")
        if customersWithoutTier > 0 {
            lines.append("\(customersWithoutTier.grouped) customers have no tier")
        }
        if let migration { lines += ["", text(of: migration)] }
        return lines.joined(separator: "\n")
    }

    /// Rows and columns by their first day; blank where no customer can be: the last order is never
    /// before the first.
    private var map: String {
        let width = sinceLastPurchaseEdges.count + 1
        var table = TextTable(
            ["from day>"] + ([0] + sinceLastPurchaseEdges).map { "\($0)>" } + ["customers>"])
        for row in (0...longevityEdges.count).reversed() {
            let own = cells[row * width..<(row + 1) * width]
            table.add(
                ["\(row == 0 ? 0 : longevityEdges[row - 1])"]
                    + own.map { cell in
                        let isPossible =
                            cell.longevityBelow.map { cell.sinceLastPurchaseFrom ?? 0 < $0 } ?? true
                        return isPossible ? "\(cell.tier)" : ""
                    } + [own.reduce(0) { $0 + $1.customers }.grouped])
        }
        return table.text
    }

    private var tierTable: String {
        var table = TextTable([
            "tier>", "customers>", "%>", "at the fit>", "revenue>", "margin>", "expected value>",
            "a customer>",
        ])
        func money(_ value: Double) -> String { value.grouped }
        for tier in tiers {
            table.add([
                "\(tier.tier)", tier.customerCount.grouped, (tier.customerShare * 100).decimals(1),
                tier.customersAtFit.grouped, money(tier.revenue), money(tier.margin),
                money(tier.expectedValue), tier.meanExpectedValue.decimals(2),
            ])
        }
        return table.text
    }

    private func text(of migration: Migration) -> String {
        var lines = [
            "from tier (down) on \(migration.since) to tier (across) on \(asOf): customers"
        ]
        let targets = [1, 2, 3, 4] + (migration.moves.contains { $0.to == 0 } ? [0] : [])
        let sources = [1, 2, 3, 4] + (migration.moves.contains { $0.from == 0 } ? [0] : [])
        func matrix(_ value: (Move) -> String) -> String {
            var table = TextTable(["from"] + targets.map { $0 == 0 ? "none>" : "\($0)>" })
            for source in sources {
                table.add(
                    [source == 0 ? "new" : "\(source)"]
                        + targets.map { target in
                            migration.moves.first { $0.from == source && $0.to == target }
                                .map(value) ?? ""
                        })
            }
            return table.text
        }
        lines.append(matrix { $0.customerCount.grouped })
        lines.append("revenue between the two days, \(currency)")
        lines.append(matrix { $0.revenueBetween.grouped })
        if migration.modelIsLater {
            lines.append(
                "the map is of \(model.asOf), after \(migration.since): a yardstick for both days, "
                    + "not what was said then")
        }
        return lines.joined(separator: "\n")
    }
}
