import Foundation

/// The models of discrete periods: shifted-beta-geometric and BG/BB.
extension LifetimeSelftest {
    private static let recomputed = "independent recomputation, 30 digits or more"

    static func discreteRows() -> [SelftestRow] {
        contractRows() + donorFitRows() + donorPointRows()
    }

    private static func row(
        _ name: String, _ expected: Double, _ actual: Double?, _ tolerance: Double,
        _ source: String = recomputed
    ) -> SelftestRow {
        // JSON has no infinity, and the row must not pass.
        SelftestRow(
            name: name, expected: expected, actual: actual ?? .greatestFiniteMagnitude,
            tolerance: tolerance, source: source)
    }

    private static func compare(
        _ model: String, _ names: [String], _ actual: [Double], _ diagnostics: FitDiagnostics,
        _ expected: [Double], _ errors: [Double], _ logLikelihood: Double
    ) -> [SelftestRow] {
        var rows: [SelftestRow] = []
        for (index, name) in names.enumerated() {
            rows.append(
                row("\(model), \(name)", expected[index], actual[index], 1e-7 * expected[index]))
            rows.append(
                row(
                    "\(model), standard error of \(name)", errors[index],
                    diagnostics.standardErrors?[index], 1e-6 * errors[index]))
        }
        rows.append(
            row(
                "\(model), log-likelihood", logLikelihood, diagnostics.logLikelihood,
                1e-10 * abs(logLikelihood)))
        return rows
    }

    private static func contractRows() -> [SelftestRow] {
        var rows: [SelftestRow] = []
        for item in GoldenTables.survivorFits {
            let name = "sBG fit, \(item.name)"
            guard
                let fitted = try? ShiftedBetaGeometric.fit(
                    survivors: item.cohorts, ShiftedBetaGeometric.Parameters(period: .year))
            else {
                rows.append(row(name, 0, nil, 0))
                continue
            }
            rows += compare(
                name, ["alpha", "beta"], [fitted.alpha, fitted.beta], fitted.diagnostics,
                item.parameters, item.standardErrors, item.logLikelihood)
        }
        for item in GoldenTables.survivalPercent {
            let model = FittedShiftedBetaGeometric(alpha: item.alpha, beta: item.beta)
            for (index, percent) in item.percent.enumerated() {
                rows.append(
                    row(
                        "sBG percent surviving \(index + 1), alpha \(item.alpha)", percent,
                        100 * model.survival(periods: index + 1), 0.051,
                        "Fader & Hardie 2007"))
            }
        }
        for item in GoldenTables.discountedLifetimes {
            let model = FittedShiftedBetaGeometric(alpha: item.alpha, beta: item.beta)
            let value = try? model.discountedLifetime(discount: item.discount)
            rows.append(
                row(
                    "sBG discounted lifetime, alpha \(item.alpha), beta \(item.beta), "
                        + "d \(item.discount)", item.value, value ?? nil, 2e-13 * item.value))
        }
        return rows
    }

    private static func donorFitRows() -> [SelftestRow] {
        let expected = GoldenTables.donorFit
        guard
            let history = try? OpportunityHistory(
                cells: GoldenTables.donors.map { ($0.x, $0.tx, 6, $0.customers) }),
            let fitted = try? BGBB.fit(history, BGBB.Parameters(period: .year))
        else { return [row("BG/BB fit of the donations", 0, nil, 0)] }
        var rows = compare(
            "BG/BB fit", ["alpha", "beta", "gamma", "delta"],
            [fitted.alpha, fitted.beta, fitted.gamma, fitted.delta], fitted.diagnostics,
            expected.parameters, expected.standardErrors, expected.logLikelihood)
        let customers = Double(history.totalCustomerCount)
        for (count, value) in expected.countsBySize.enumerated() {
            rows.append(
                row(
                    "BG/BB donors with \(count) transactions", value,
                    customers * fitted.probability(ofTransactions: count, horizon: 6), 1e-5))
        }
        var sum = 0.0
        for cell in GoldenTables.donors {
            guard
                let record = try? OpportunityRecord(
                    transactions: cell.x, last: cell.tx, opportunities: 6)
            else { continue }
            sum += Double(cell.customers) * fitted.expectedTransactions(record, horizon: 5)
        }
        rows.append(
            row(
                "BG/BB expected transactions of all donors, 5 years",
                expected.expectedTransactions, sum, 1e-5))
        return rows
    }

    private static func donorPointRows() -> [SelftestRow] {
        let model = FittedBGBB(alpha: 1.204, beta: 0.75, gamma: 0.657, delta: 2.783, period: .year)
        var rows: [SelftestRow] = []
        for item in GoldenTables.donors {
            let record = try? OpportunityRecord(
                transactions: item.x, last: item.tx, opportunities: 6)
            rows.append(
                row(
                    "BG/BB log-likelihood, x \(item.x), tx \(item.tx)", item.logLikelihood,
                    record.map { model.logLikelihood($0) }, 1e-13 * abs(item.logLikelihood)))
        }
        for item in GoldenTables.donorRows {
            guard
                let record = try? OpportunityRecord(
                    transactions: item.x, last: item.tx, opportunities: 6)
            else { return [row("BG/BB donor rows", 0, nil, 0)] }
            let history = "x \(item.x), tx \(item.tx)"
            let discounted = try? model.discountedResidualTransactions(record, discount: 0.1)
            rows += [
                row(
                    "BG/BB probability alive in year 7, \(history)", item.probabilityAlive,
                    model.probabilityAlive(record, after: 1), 1e-12),
                row(
                    "BG/BB expected transactions, 5 years, \(history)",
                    item.expectedTransactions, model.expectedTransactions(record, horizon: 5),
                    1e-12),
                row(
                    "BG/BB discounted transactions, .1 a year, \(history)", item.discounted,
                    discounted ?? nil, 1e-12),
                row(
                    "BG/BB probability active, 5 years, \(history)", item.probabilityActive,
                    model.probabilityActive(record, horizon: 5), 1e-12),
                row(
                    "BG/BB P(2 transactions in 5 years), \(history)", item.probabilityOfTwo,
                    model.probability(ofTransactions: 2, horizon: 5, record), 1e-12),
            ]
        }
        return rows
    }
}
