import Foundation

/// One number that the shipped binary derives again.
package struct SelftestRow: Codable, Equatable, Sendable {
    package let name: String
    package let expected: Double
    package let actual: Double
    /// Largest |actual − expected| that passes.
    package let tolerance: Double
    package let source: String

    /// False where `actual` is not finite.
    package var passes: Bool { abs(actual - expected) <= tolerance }
}

/// Re-derives the published and independently recomputed numbers of the lifetime models. Takes a
/// few milliseconds; deterministic.
package enum LifetimeSelftest {
    private static let paper = "Fader, Hardie & Lee 2005"
    private static let recomputed = "independent recomputation, 25 digits or more"

    package static func run() -> [SelftestRow] {
        customerRows() + populationRows() + trapRows() + fitRows() + spendRows()
            + otherModelRows() + discreteRows()
    }

    private static func customerRows() -> [SelftestRow] {
        let model = GoldenTables.published
        var rows = [
            SelftestRow(
                name: "BG/NBD expected purchases, 39 weeks, x 2, tx 30.43, T 38.86",
                expected: 1.22603,
                actual: model.expectedPurchases(x: 2, tx: 30.43, age: 38.86, horizon: 39),
                tolerance: 5e-6, source: paper)
        ]
        for row in GoldenTables.customers {
            let history = "x \(row.x), tx \(row.tx), T \(row.age)"
            func discounted(_ rate: Double) -> Double {
                model.discountedPurchases(
                    x: row.x, tx: row.tx, age: row.age, horizon: 52, discount: rate)
            }
            rows += [
                SelftestRow(
                    name: "BG/NBD probability alive, \(history)", expected: row.probabilityAlive,
                    actual: model.probabilityAlive(x: row.x, tx: row.tx, age: row.age),
                    tolerance: 5.1e-8, source: paper),
                SelftestRow(
                    name: "BG/NBD expected purchases, 52 weeks, \(history)",
                    expected: row.expectedPurchases,
                    actual: model.expectedPurchases(
                        x: row.x, tx: row.tx, age: row.age, horizon: 52),
                    tolerance: 5.1e-8, source: paper),
                SelftestRow(
                    name: "BG/NBD discounted purchases, .0027 a week, \(history)",
                    expected: row.discounted.low, actual: discounted(0.0027),
                    tolerance: 1e-11 * max(1, row.discounted.low), source: recomputed),
                SelftestRow(
                    name: "BG/NBD discounted purchases, .05 a week, \(history)",
                    expected: row.discounted.high, actual: discounted(0.05),
                    tolerance: 1e-10 * max(1, row.discounted.high), source: recomputed),
            ]
        }
        return rows
    }

    private static func populationRows() -> [SelftestRow] {
        let model = GoldenTables.published
        func probability(
            _ count: Int, _ time: Double, _ expected: Double, _ tolerance: Double
        ) -> SelftestRow {
            SelftestRow(
                name: "BG/NBD P(X(\(time)) = \(count))", expected: expected,
                actual: model.probability(ofRepeatPurchases: count, time: time),
                tolerance: tolerance, source: paper)
        }
        var rows = GoldenTables.expectedRepeatPurchases.map { item in
            SelftestRow(
                name: "BG/NBD E[X(\(item.time))]", expected: item.value,
                actual: model.expectedRepeatPurchases(time: item.time), tolerance: 5.1e-8,
                source: paper)
        }
        for (count, value) in GoldenTables.countProbabilities39.enumerated() {
            rows.append(probability(count, 39, value, 5.1e-8))
        }
        for (offset, value) in GoldenTables.countProbabilities30.enumerated() {
            rows.append(probability(11 + offset, 30, value, 5.1e-11))
        }
        rows.append(probability(10, 2, 1.0786896e-07, 5.1e-15))
        return rows
    }

    private static func trapRows() -> [SelftestRow] {
        let hard = FittedBGNBD(r: 0.25, alpha: 4, a: 0.8, b: 2.5, grid: .week)
        var rows = GoldenTables.manyPurchases.map { item in
            SelftestRow(
                name: "BG/NBD log-likelihood, x \(item.x), tx \(item.tx), T \(item.age)",
                expected: item.value,
                actual: hard.logLikelihood(x: item.x, tx: item.tx, age: item.age),
                tolerance: item.x == 0 ? 5.1e-10 : 5.1e-7,
                source: "Hardie, technical note 027")
        }
        rows += GoldenTables.singular.map { item in
            SelftestRow(
                name: "BG/NBD E[X(39)], \(item.name)", expected: item.value,
                actual: FittedBGNBD(
                    r: item.r, alpha: item.alpha, a: item.a, b: item.b, grid: .week
                ).expectedRepeatPurchases(time: 39),
                tolerance: 2e-12, source: recomputed)
        }
        rows.append(
            SelftestRow(
                name: "BG/NBD probability alive, x 1000, tx 10, T 100", expected: 0,
                actual: GoldenTables.published.probabilityAlive(x: 1000, tx: 10, age: 100),
                tolerance: 0, source: "exact in double precision"))
        return rows
    }

    private static func fitRows() -> [SelftestRow] {
        guard
            let history = try? CollapsedHistory(
                rows: GoldenTables.histories.map { ($0.x, $0.tx, 240, $0.customers) }),
            let fitted = try? BGNBD.fit(history)
        else { return [failure("BG/NBD fit of the embedded histories")] }
        return compare(
            "BG/NBD fit", ["r", "alpha", "a", "b"], [fitted.r, fitted.alpha, fitted.a, fitted.b],
            fitted.diagnostics, GoldenTables.historiesFit.parameters,
            GoldenTables.historiesFit.standardErrors, GoldenTables.historiesFit.logLikelihood)
    }

    private static func spendRows() -> [SelftestRow] {
        guard let model = GoldenTables.publishedSpend,
            let fitted = try? GammaGamma.fit(
                repeatPurchaseCount: GoldenTables.orderValues.map(\.x),
                meanOrderValue: GoldenTables.orderValues.map(\.mean))
        else { return [failure("Gamma-Gamma fit of the embedded order values")] }
        var rows = GoldenTables.spendRows.map { item in
            SelftestRow(
                name: "Gamma-Gamma expected order value, x \(item.x), mean \(item.mean)",
                expected: item.value,
                actual: model.expectedOrderValue(x: item.x, meanOrderValue: item.mean),
                tolerance: 5.1e-5, source: "Fader & Hardie 2013")
        }
        rows += compare(
            "Gamma-Gamma fit", ["p", "q", "v"], [fitted.p, fitted.q, fitted.v],
            fitted.diagnostics, GoldenTables.orderValuesFit.parameters,
            GoldenTables.orderValuesFit.standardErrors,
            GoldenTables.orderValuesFit.logLikelihood)
        return rows
    }

    /// Pareto/NBD and MBG/NBD.
    private static func otherModelRows() -> [SelftestRow] {
        let (pareto, modified) = (GoldenTables.publishedPareto, GoldenTables.publishedModified)
        var rows: [SelftestRow] = []
        for (item, others) in zip(GoldenTables.customers, GoldenTables.otherModels) {
            let (x, tx, age) = (item.x, item.tx, item.age)
            let values = [
                ("Pareto/NBD probability alive", pareto.probabilityAlive(x: x, tx: tx, age: age)),
                (
                    "Pareto/NBD expected purchases, 52 weeks",
                    pareto.expectedPurchases(x: x, tx: tx, age: age, horizon: 52)
                ),
                (
                    "Pareto/NBD residual purchases, .0027 a week",
                    pareto.residualPurchases(x: x, tx: tx, age: age, discount: 0.0027)
                ),
                ("MBG/NBD probability alive", modified.probabilityAlive(x: x, tx: tx, age: age)),
                (
                    "MBG/NBD expected purchases, 52 weeks",
                    modified.expectedPurchases(x: x, tx: tx, age: age, horizon: 52)
                ),
            ]
            for ((name, actual), expected) in zip(values, others) {
                rows.append(
                    SelftestRow(
                        name: "\(name), x \(x), tx \(tx), T \(age)", expected: expected,
                        actual: actual, tolerance: 5.1e-8, source: recomputed))
            }
        }
        for (index, value) in GoldenTables.paretoRepeatPurchases.enumerated() {
            rows.append(
                SelftestRow(
                    name: "Pareto/NBD E[X(\(index + 1))]", expected: value,
                    actual: pareto.expectedRepeatPurchases(time: Double(index + 1)),
                    tolerance: 5.1e-8, source: recomputed))
        }
        for item in GoldenTables.paretoTraps {
            rows.append(
                SelftestRow(
                    name: "Pareto/NBD probability alive, x \(item.x), tx \(item.tx), T \(item.age)",
                    expected: item.value,
                    actual: item.model.probabilityAlive(x: item.x, tx: item.tx, age: item.age),
                    tolerance: item.tolerance, source: recomputed))
        }
        rows.append(
            SelftestRow(
                name: "Pareto/NBD E[X(39)], s = 1", expected: 0.895763236886,
                actual: FittedParetoNBD(
                    r: 0.553, alpha: 10.578, s: 1, beta: 11.669, grid: .week
                ).expectedRepeatPurchases(time: 39), tolerance: 5.1e-13, source: recomputed))
        return rows
    }

    private static func compare(
        _ model: String, _ names: [String], _ actual: [Double], _ diagnostics: FitDiagnostics,
        _ expected: [Double], _ errors: [Double], _ logLikelihood: Double
    ) -> [SelftestRow] {
        var rows: [SelftestRow] = []
        for (index, name) in names.enumerated() {
            rows.append(
                SelftestRow(
                    name: "\(model), \(name)", expected: expected[index],
                    actual: actual[index], tolerance: 1e-7 * expected[index],
                    source: recomputed))
            rows.append(
                SelftestRow(
                    name: "\(model), standard error of \(name)", expected: errors[index],
                    actual: diagnostics.standardErrors?[index] ?? .greatestFiniteMagnitude,
                    tolerance: 1e-6 * errors[index], source: recomputed))
        }
        rows.append(
            SelftestRow(
                name: "\(model), log-likelihood", expected: logLikelihood,
                actual: diagnostics.logLikelihood ?? .greatestFiniteMagnitude,
                tolerance: 1e-10 * abs(logLikelihood), source: recomputed))
        return rows
    }

    /// JSON has no infinity, and the row must not pass.
    private static func failure(_ name: String) -> SelftestRow {
        SelftestRow(name: name, expected: 0, actual: 1, tolerance: 0, source: recomputed)
    }
}
