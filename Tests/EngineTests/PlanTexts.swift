import Foundation

/// Plans that several tests read.
enum PlanTexts {
    static let minimal = """
        sources:
          purchases:
            columns:
              customerID: customer
              time: date
              amount: amount
        """

    static let noSegmentations = minimal + "\nsegmentations: {}\n"

    /// Every algorithm of segmentations.
    static let algorithms =
        minimal + """

            segmentations:
              clusters: {algorithm: kMeans, features: [revenue, predictedAlive]}
              grid: {algorithm: rfm}
              other: {algorithm: rfm, levelCount: 3, features: [tenureDays, lineCount, margin]}
              plane: {algorithm: quadrants, features: [margin, predictedLifetimeValue]}
              stated: {algorithm: quadrants, features: [revenue, margin], leastHighValues: [100, 2.5]}
              stage: {algorithm: lifecycle, newDays: 30, activeDays: 60, lapsedDays: 200}

            """

    /// Names of segments, by ids.
    static let named =
        minimal + """

            segmentations:
              value:
                features: [revenue, margin]
                names: {3: "Sleeping: \\"deep\\"", 0: Best customers, 12: 7}
              stage: {algorithm: lifecycle, names: {4: Gone}}

            """
    /// Clusters of mixed data, places, layers.
    static let layers = """
        sources:
          purchases:
            columns: {customerID: customer, time: date, amount: amount}
          customers:
            id: customer
            attributes:
              age: number
              gender: text
              school: {levels: [low, "2 mid", high]}
              size: {type: ordinal, column: Größe, levels: [S, M, L]}
              north: latitude
              east: {type: longitude, column: lon}
        segmentations:
          region: {features: [coordinates], scaling: none}
          mixed: {algorithm: kPrototypes, features: [attributes, revenue], clusterCount: 6}
          weighted: {algorithm: kPrototypes, features: [gender], gamma: 2.5, scaling: quantile}
          stage: {algorithm: lifecycle}
          value: {features: [revenue], clusterCount: 3, per: stage}
          kinds: {algorithm: kPrototypes, features: [gender, school], gamma: auto, per: region}
          micro: {algorithm: join, of: [stage, value, mixed]}
          all: {algorithm: join, of: [micro, region]}

        """

    static let customersOnly = """
        sources:
          customers:
            files: [people.csv]
            id: {type: lineNumber}
            attributes: {age: number, gender: text}
        segmentations:
          people: {features: [attributes]}

        """

    static let covariates = full.replacingOccurrences(
        of: "model: bgnbd, horizon: 39w", with: "model: paretonbd, covariates: [gender, age]")

    static let full = """
        version: 1
        currency: GBP
        timeZone: Europe/London          # default UTC
        timeGrid: month
        seed: 18446744073709551615
        asOf: 1997-09-30
        grossMarginRate: 0.4
        annualDiscountRate: 0.15
        sources:
          purchases:
            files: [purchases.csv, "more/purchases 2.csv"]
            delimiter: semicolon
            header: true
            decimalSign: ","
            maximumRejectShare: 0.3
            setAside: [missingCustomerID, nonPositivePrice]
            columns:
              customerID: {column: CustomerID, type: integer}
              time: {column: InvoiceDate, format: d/M/y}
              quantity: Quantity
              unitPrice: 6
              cost: Cost
              orderID: InvoiceNo
              product: StockCode
              category: Category
              promotion: Promotion
              channel: "9"
          customers:
            files: customers.csv
            id: {column: customer_id, type: integer}
            attributes:
              age: number
              gender: text
              interests: {type: set, separator: "|"}
              income: {type: number, column: Income band}
          products:
            files: [products.csv]
            header: false
            delimiter: tab
            id: 1
            attributes:
              category: {type: text, column: 2}
        segmentations:
          value: {features: [revenue365Days, age], clusterCount: 7, scaling: robust}
          behaviour:
            features: [hourShares, attribute.gender, categoryShare.Toys, interests]
            restarts: 8
            maximumIterations: 300
        lifetime: {model: bgnbd, horizon: 39w, basis: revenue}
        churn: {horizon: 90d, model: logistic, features: [daysSinceLastPurchase, age],
                calibration: platt, reasonCount: 5}
        simpleFormula: {durationMonths: 36}
        affinity: {factorCount: 16, regularization: 0.1, confidenceWeight: 5,
                   iterations: 3, topProductCount: 20, excludePurchased: false}
        """

    /// The shortest plan with settings of affinity.
    static func affinity(_ settings: String) -> String {
        minimal + "\naffinity: {\(settings)}\n"
    }
}
