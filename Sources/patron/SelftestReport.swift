import Models

/// All derivations of `patron selftest`.
struct SelftestReport: Encodable {
    let rows: [SelftestRow]
    let passedCount: Int
    let failedCount: Int
    /// The largest |actual - expected| as a share of the tolerance, and whose it is.
    let largestError: Double
    let largestErrorName: String

    init() {
        rows = LifetimeSelftest.run()
        passedCount = rows.count(where: \.passes)
        failedCount = rows.count - passedCount
        func share(_ row: SelftestRow) -> Double {
            row.actual.isFinite
                ? abs(row.actual - row.expected) / max(row.tolerance, .leastNormalMagnitude)
                : .greatestFiniteMagnitude
        }
        let worst = rows.max { share($0) < share($1) }
        largestError = worst.map(share) ?? 0
        largestErrorName = worst?.name ?? ""
    }

    func text(verbose: Bool) -> String {
        var lines: [String] = []
        for row in rows where verbose || !row.passes {
            lines.append(
                "\(row.passes ? "ok    " : "FAILED") \(row.name): expected \(row.expected), "
                    + "derived \(row.actual), tolerance \(row.tolerance) [\(row.source)]")
        }
        lines.append(
            "selftest: \(passedCount) passed, \(failedCount) failed; the largest error is "
                + "\((largestError * 100).decimals(1)) % of its tolerance (\(largestErrorName))")
        return lines.joined(separator: "\n")
    }
}
