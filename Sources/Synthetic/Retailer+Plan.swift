import Units

extension Retailer {
    /// The plan that works on the generated files.
    func planText() -> String {
        """
        # Written with a synthetic retailer of \(parameters.customerCount) customers, \
        seed \(parameters.seed).
        version: 1
        currency: EUR
        timeZone: Europe/Berlin
        timeGrid: week
        seed: 1
        asOf: \(parameters.lastDay)
        annualDiscountRate: 0.10
        sources:
          purchases:
            files: [\(FileName.purchases)]
            delimiter: comma
            header: true
            columns:
              customerID: {column: customer_id, type: integer}
              time: {column: time, format: iso8601}
              amount: amount
              quantity: quantity
              margin: margin
              orderID: order_id
              product: product_id
              category: category
              promotion: promotion
              channel: channel
          customers:
            files: [\(FileName.customers)]
            id: {column: customer_id, type: integer}
            attributes:
              age: number
              gender: text
              income_band: text
              city: text
              latitude: number
              longitude: number
              interests: {type: set, separator: ";"}
          products:
            files: [\(FileName.products)]
            id: product_id
            attributes: {name: text, category: text, price: number, margin_rate: number}
        segmentations:
          value:
            features: [revenue365Days, margin365Days, orderCount, meanOrderValue, \
        daysSinceLastPurchase]
            clusterCount: 5
            scaling: logZScore
          behaviour:
            features: [hourShares, weekdayShares, categoryShares, channelShares]
            clusterCount: \(Lifestyle.all.count)
            scaling: zScore
            # About a third of the starts miss a lifestyle: customers of one or two orders lie far
            # out and draw seeds. The best of ten starts is kept.
            restarts: 10
        lifetime: {model: bgnbd, horizon: 52w, basis: margin}
        churn: {horizon: 13w}
        affinity: {factorCount: 32}

        """
    }
}
