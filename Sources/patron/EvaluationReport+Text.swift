import Engine
import Models

extension EvaluationReport {
    var text: String {
        var lines = [
            "fitted as of \(asOf) on \(customerCount.grouped) customers, checked on the "
                + "\(horizon) after it"
        ]
        if let purchases {
            var table = TextTable([
                "orders", "expected>", "actual>", "MAE>", "RMSE>", "AUC (buys again)>",
            ])
            func add(_ name: String, _ summary: HoldoutSummary) {
                table.add([
                    name, summary.expectedPurchases.decimals(1),
                    summary.actualPurchases.decimals(0), summary.meanAbsoluteError.decimals(5),
                    summary.rootMeanSquareError.decimals(5),
                    summary.areaUnderROC.map { $0.decimals(4) } ?? "",
                ])
            }
            add(purchaseModel ?? "model", purchases)
            if let naivePurchases { add("past rate", naivePurchases) }
            lines.append(table.text)
            var bins = TextTable([
                "repeat purchases so far", "customers>", "expected a customer>",
                "actual a customer>",
            ])
            for bin in purchases.bins {
                bins.add([
                    bin.repeatPurchaseCount == 7 ? "7 and more" : "\(bin.repeatPurchaseCount)",
                    bin.customerCount.grouped, bin.expectedPurchases.decimals(4),
                    bin.actualPurchases.decimals(4),
                ])
            }
            lines.append(bins.text)
        }
        if let first = churn.first {
            var table = TextTable([
                "no order in \(first.horizon)", "AUC>", "log-loss>", "Brier>", "predicted>",
                "observed>", "calibration error>", "lift, top tenth>",
            ])
            for measure in churn {
                let summary = measure.summary
                table.add([
                    measure.model, summary.areaUnderROC.map { $0.decimals(4) } ?? "",
                    summary.logLoss.decimals(5), summary.brierScore.decimals(5),
                    summary.meanPredicted.decimals(4), summary.observedShare.decimals(4),
                    summary.calibrationError.decimals(4),
                    summary.lift.first.map { $0.lift.decimals(2) } ?? "",
                ])
            }
            lines.append(table.text)
        }
        let expected = expectedRevenue.map(\.grouped) ?? "not fitted"
        lines.append(
            "revenue: expected \(expected), actual \(actualRevenue.grouped)")
        if let affinity, let mostPopular {
            var table = TextTable([
                "new products", "recall@\(topProductCount)>", "precision>", "NDCG>", "customers>",
            ])
            for (name, summary) in [("affinity", affinity), ("most popular", mostPopular)] {
                table.add([
                    name, summary.recall.decimals(4), summary.precision.decimals(4),
                    summary.ndcg.decimals(4), summary.customerCount.grouped,
                ])
            }
            lines.append(table.text)
        }
        lines += affinityVariants.isEmpty ? [] : [variantsText]
        for (name, reason) in notFitted.sorted(by: { $0.key < $1.key }) {
            lines.append("\(name) not fitted: \(reason)")
        }
        return lines.joined(separator: "\n")
    }

    /// A line a variant of the affinity model, measures in pairs: products new to the customer, all.
    private var variantsText: String {
        let first = affinityVariants[0]
        var header = ["affinity variants"]
        for (what, measures) in [("new", first.newProducts), ("all", first.allProducts)] {
            for measure in measures {
                header += ["\(what): recall@\(measure.k)>", "NDCG@\(measure.k)>"]
            }
        }
        var table = TextTable(header)
        for variant in affinityVariants {
            table.add(
                [variant.variant]
                    + (variant.newProducts + variant.allProducts).flatMap {
                        [$0.summary.recall.decimals(4), $0.summary.ndcg.decimals(4)]
                    })
        }
        return table.text
    }
}
