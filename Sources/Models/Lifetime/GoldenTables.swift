/// Published and independently recomputed numbers of the lifetime models, embedded so that the
/// shipped binary can re-derive them. Tolerances elsewhere are half a unit of the last digit shown
/// here. Times are weeks unless said otherwise.
enum GoldenTables {
    struct CustomerRow {
        let x: Int
        let tx: Double
        let age: Double
        let probabilityAlive: Double
        /// Expected purchases in the next 52 weeks.
        let expectedPurchases: Double
        /// The same discounted at 0.0027 and 0.05 a week: 25-digit quadrature of
        /// P(alive) ∫ e^(−δs) (r+x)/(α+T) ₂F₁(r+x+1, a; a+b+x; −s/(α+T)) ds.
        let discounted: (low: Double, high: Double)
    }

    /// Fader, Hardie & Lee 2005, rounded as in the paper; CDNOW.
    static let published = FittedBGNBD(r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, grid: .week)

    /// At `published`.
    static let customers = [
        CustomerRow(
            x: 0, tx: 0, age: 39, probabilityAlive: 1, expectedPurchases: 0.2513580,
            discounted: (0.23526063866379, 0.094439416100329)),
        CustomerRow(
            x: 1, tx: 10, age: 39, probabilityAlive: 0.4372492, expectedPurchases: 0.5341779,
            discounted: (0.50052852027959, 0.20446538258489)),
        CustomerRow(
            x: 2, tx: 30, age: 39, probabilityAlive: 0.7195509, expectedPurchases: 1.5395679,
            discounted: (1.443521302391, 0.59564931766261)),
        CustomerRow(
            x: 5, tx: 20, age: 39, probabilityAlive: 0.2837941, expectedPurchases: 1.3593913,
            discounted: (1.2757572022049, 0.53399704836551)),
        CustomerRow(
            x: 10, tx: 38, age: 39, probabilityAlive: 0.9190215, expectedPurchases: 8.3765869,
            discounted: (7.8655327827386, 3.3204341859193)),
        CustomerRow(
            x: 26, tx: 30.86, age: 31, probabilityAlive: 0.9689156,
            expectedPurchases: 25.7581959, discounted: (24.222007512073, 10.461246493306)),
        CustomerRow(
            x: 26, tx: 20, age: 39, probabilityAlive: 9.5e-6, expectedPurchases: 0.0002173,
            discounted: (0.00020411928562324, 8.67774709661e-5)),
    ]

    /// E[X(t)] at `published`.
    static let expectedRepeatPurchases: [(time: Double, value: Double)] = [
        (0.1429, 0.0078283), (1, 0.0532679), (3, 0.1508652), (31.8571, 1.0419961),
        (32, 1.0452433), (78, 1.8605191),
    ]

    /// P(X(39) = n), n = 0 ... 7, at `published`.
    static let countProbabilities39 = [
        0.5737864, 0.1993953, 0.0854298, 0.0458604, 0.0276714, 0.0179655, 0.0122690, 0.0086954,
    ]
    /// P(X(30) = n), n = 11 ... 20, at `published`.
    static let countProbabilities30 = [
        0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638, 0.0005517902,
        0.0004361913, 0.0003467171, 0.0002769613, 0.0002222260,
    ]

    /// E[X(39)] where the hypergeometric form fails: a = 1, just above it, and a + b = 1.
    static let singular:
        [(name: String, r: Double, alpha: Double, a: Double, b: Double, value: Double)] = [
            ("a = 1", 0.243, 4.414, 1, 2.426, 1.084279010592),
            ("a = 1 + 1e-12", 0.243, 4.414, 1 + 1e-12, 2.426, 1.084279010592),
            ("a + b = 1, a = .4", 0.1, 50.16, 0.4, 0.6, 0.067918887380),
            ("a + b = 1, a = .5", 0.1, 50.16, 0.5, 0.5, 0.065705163788),
        ]

    /// Log-likelihood of single rows with many purchases, r .25, α 4, a .8, b 2.5.
    /// Source: Hardie, "Overcoming the BG/NBD Model's #NUM! Error Problem", 2011.
    static let manyPurchases: [(x: Int, tx: Double, age: Double, value: Double)] = [
        (0, 0, 40, -0.599473818), (200, 38, 40, 100.795693),
    ]

    /// Made-up histories of 400 customers, all observed for 240 days: (x, t_x in days, customers).
    static let histories: [(x: Int32, tx: Int32, customers: Int)] = [
        (0, 0, 153), (1, 14, 27), (1, 30, 28), (1, 60, 17), (1, 90, 11), (1, 120, 13),
        (1, 150, 6), (1, 180, 7), (1, 210, 15), (1, 240, 3), (2, 14, 4), (2, 30, 7), (2, 60, 8),
        (2, 90, 5), (2, 120, 1), (2, 150, 3), (2, 180, 4), (2, 210, 1), (2, 240, 2), (3, 30, 2),
        (3, 60, 2), (3, 90, 4), (3, 120, 4), (3, 150, 3), (3, 180, 5), (3, 210, 5), (3, 240, 3),
        (4, 30, 1), (4, 90, 2), (4, 150, 2), (4, 180, 1), (4, 210, 2), (4, 240, 1), (5, 30, 2),
        (5, 90, 1), (5, 120, 3), (5, 150, 3), (5, 180, 2), (5, 210, 1), (5, 240, 1), (6, 30, 1),
        (6, 60, 1), (6, 90, 2), (6, 120, 1), (6, 180, 1), (6, 210, 1), (7, 30, 1), (7, 150, 1),
        (7, 210, 2), (8, 180, 1), (8, 240, 1), (9, 150, 1), (9, 210, 2), (10, 150, 1),
        (10, 210, 1), (10, 240, 3), (11, 90, 1), (11, 150, 1), (11, 180, 1), (13, 60, 1),
        (13, 150, 1), (13, 240, 1), (14, 210, 2), (15, 150, 1), (15, 240, 1), (17, 210, 1),
        (17, 240, 1), (19, 240, 1), (39, 240, 1),
    ]
    /// Their maximum-likelihood fit in weeks: 40-digit Newton on the likelihood as printed.
    static let historiesFit = (
        parameters: [0.38612869332342, 3.1654116788305, 0.70655934465293, 1.3707271469668],
        standardErrors: [0.03659701475, 0.4660794994, 0.1948792065, 0.5188956791],
        logLikelihood: -2_489.833532117173
    )

    /// Fader & Hardie 2013, rounded as in the paper; CDNOW.
    static let publishedSpend = FittedGammaGamma(p: 6.25, q: 3.74, v: 15.44)

    /// Expected order value of the first ten customers of the CDNOW sample at `publishedSpend`.
    static let spendRows: [(x: Int, mean: Double, value: Double)] = [
        (2, 44.69 / 2, 24.6596), (1, 11.77, 18.9169), (0, 0, 35.2190), (0, 0, 35.2190),
        (0, 0, 35.2190), (7, 516.19 / 7, 71.4710), (1, 11.77, 18.9169), (0, 0, 35.2190),
        (2, 25.55, 27.2884), (0, 0, 35.2190), (3, 35, 35.0279),
    ]

    /// Made-up order values of 40 customers: (x, mean).
    static let orderValues: [(x: Int32, mean: Double)] = [
        (3, 9.22), (3, 18.4), (2, 10.78), (4, 43.25), (2, 18.96), (4, 39.92), (4, 23.96),
        (3, 43.74), (5, 10.53), (4, 12.22), (2, 24.46), (5, 15.63), (2, 9.77), (5, 45.07),
        (4, 25.78), (3, 17.44), (2, 13.97), (2, 37.1), (9, 12.08), (5, 18.8), (2, 26.66),
        (2, 5.95), (3, 8.43), (2, 12.1), (5, 18.75), (3, 52.71), (3, 17.2), (2, 13.24),
        (2, 25.75), (2, 43.81), (4, 9.6), (2, 24.77), (2, 27.18), (3, 15.06), (2, 11.29),
        (5, 34.24), (3, 10.27), (10, 29.46), (2, 67.65), (2, 37.08),
    ]
    /// Their maximum-likelihood fit: 40-digit Newton on the likelihood as printed.
    static let orderValuesFit = (
        parameters: [4.2148970877234, 4.3831408208169, 19.178313173997],
        standardErrors: [6.014053859, 2.342513459, 38.67930569],
        logLikelihood: -154.7114341598533
    )
}
