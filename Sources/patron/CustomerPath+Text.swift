import Engine

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
        if !model.isOfThisPlan { lines.append("the plan has changed since the model's training") }
        lines.append(
            "lifetime value: \(basis) of the next \(horizon), discounted; a negative order is a return"
        )
        return lines.joined(separator: "\n")
    }
}
