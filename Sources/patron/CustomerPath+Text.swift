import Engine

extension CustomerStays {
    var text: String {
        "customer \(customer), without purchases\nsegments, by published days:\n"
            + SegmentText.stays(segments)
    }
}

extension CustomerPath {
    var text: String {
        var table = TextTable([
            "day", "order>", "orders>", "silent days>", "P(alive)>", "P(order in \(churnHorizon))>",
            "orders in \(horizon)>", "lifetime value>",
        ])
        for entry in entries {
            switch entry {
            case .order(let order):
                table.add(
                    [order.day, order.amount.decimals(2)] + [String](repeating: "", count: 6))
            case .step(let step):
                table.add([
                    step.day, "", "\(step.repeatPurchaseCount + 1)",
                    "\(step.daysSinceLastPurchase)",
                    step.probabilityAlive?.decimals(4) ?? "-",
                    step.probabilityActive?.decimals(4) ?? "-",
                    step.expectedPurchases?.decimals(3) ?? "-",
                    step.lifetimeValue?.decimals(2) ?? "-",
                ])
            }
        }
        var lines = ["customer \(customer), \(currency), as of \(asOf)", table.text]
        lines.append(
            "by lifetime model version \(model.version) (\(model.algorithm), as of \(model.asOf)); "
                + "earlier days are a look back with it")
        lines += quantiles.map(text) ?? []
        if let covariates {
            let values = covariates.sorted { $0.key < $1.key }.filter { $0.value != 0 }
                .map { $0.key.contains("=") ? $0.key : "\($0.key) \($0.value)" }
            lines.append(
                "with the customer's covariates of now: "
                    + (values.isEmpty ? "those of the base" : values.joined(separator: ", ")))
        }
        if !segments.isEmpty {
            lines.append("segments, by published days:\n" + SegmentText.stays(segments))
        }
        if !model.isOfThisPlan { lines.append("the plan has changed since the model's training") }
        lines.append(
            "lifetime value: \(basis) of the next \(horizon), discounted; a negative order is a return"
        )
        return lines.joined(separator: "\n")
    }

    private func text(_ quantiles: Quantiles) -> [String] {
        func row(_ texts: [String]) -> String {
            zip(quantiles.probabilities, texts).map { probability, text in
                "P\((100 * probability).decimals(0)) \(text)"
            }.joined(separator: ", ")
        }
        let orders = row(quantiles.purchases.map(String.init))
        let values = quantiles.values.map { row($0.map { $0.decimals(2) }) }
        return ["next \(horizon): orders \(orders)"]
            + (values.map { ["next \(horizon): \(basis) of them, not discounted, \($0)"] } ?? [])
    }
}
