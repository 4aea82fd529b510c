/// Published and independently recomputed numbers of the models of discrete periods; see
/// `GoldenTables`. "Recomputed" is 30 to 50 digit arithmetic on the formulas as printed.
extension GoldenTables {
    /// Survivors of 1,000 customers after 0 ... 7 years, rounded from percentages.
    /// Source: Fader & Hardie, "How to Project Customer Retention", 2007, table 1.
    static let regularSurvivors = [1_000, 631, 468, 382, 326, 289, 262, 241]
    static let highEndSurvivors = [1_000, 869, 743, 653, 593, 551, 517, 491]

    struct SurvivorFit {
        let name: String
        let cohorts: [[Int]]
        let parameters: [Double]
        let standardErrors: [Double]
        let logLikelihood: Double
    }

    /// Maximum-likelihood fits, recomputed.
    static let survivorFits = [
        SurvivorFit(
            name: "Regular", cohorts: [regularSurvivors],
            parameters: [0.7040772984735162, 1.182043026209476],
            standardErrors: [0.065598964234, 0.152475631676],
            logLikelihood: -1_680.26518846328699),
        SurvivorFit(
            name: "High-End", cohorts: [highEndSurvivors],
            parameters: [0.6680883511064462, 3.806094964058267],
            standardErrors: [0.10373493115, 0.785531691776],
            logLikelihood: -1_611.15814739115644),
        SurvivorFit(
            name: "Regular and 4 years of High-End",
            cohorts: [regularSurvivors, Array(highEndSurvivors.prefix(5))],
            parameters: [0.7015509536406902, 2.082126325283882],
            standardErrors: [0.0686889703728, 0.267327711778],
            logLikelihood: -3_003.95166905599755),
    ]

    /// Percent surviving 1 ... 12 years at rounded parameters. Source: Fader & Hardie 2007.
    static let survivalPercent: [(alpha: Double, beta: Double, percent: [Double])] = [
        (
            0.668, 3.806,
            [85.1, 74.7, 67.0, 61.0, 56.2, 52.2, 48.9, 46.0, 43.6, 41.4, 39.5, 37.8]
        ),
        (
            0.704, 1.182,
            [62.7, 47.4, 38.8, 33.2, 29.2, 26.2, 23.9, 22.0, 20.4, 19.1, 18.0, 17.0]
        ),
    ]

    /// ₂F₁(1, β; α + β; 1 / (1 + d)), recomputed.
    static let discountedLifetimes:
        [(alpha: Double, beta: Double, discount: Double, value: Double)] = [
            (0.668, 3.806, 0.1, 5.9225964076127642), (0.704, 1.182, 0.1, 3.6951474055745741),
            (0.704, 1.182, 0.008, 10.242479666461521), (0.5, 2, 1e-4, 232.66617525723294),
            (1, 1, 0.05, 3.1967485596095941), (3, 2, 1e-6, 1.9999960001477865),
            (1e-3, 1e-3, 0.01, 50.769933684234863), (1e4, 1e4, 0.1, 1.8333969941888344),
            (1e-4, 1e4, 0.2, 5.9999997001498532), (1e4, 1e-4, 0.2, 1.0000000083340278),
            (2.5, 300, 1, 1.9836589207339411), (0.7, 1.2, 5, 1.1206972926307831),
        ]

    /// Donors by (transactions, last one) in six years and the log-likelihood of each history at
    /// the rounded parameters 1.204, .750, .657, 2.783.
    /// Source: Fader, Hardie & Shang 2010; log-likelihoods recomputed.
    static let donors: [(x: Int, tx: Int, customers: Int, logLikelihood: Double)] = [
        (0, 0, 3_464, -1.1672624726739), (1, 1, 1_091, -2.2885316856663),
        (1, 2, 277, -3.5880509328813), (1, 3, 129, -4.2247708724789),
        (1, 4, 78, -4.5709904138068), (1, 5, 119, -4.7676226829219),
        (1, 6, 129, -4.8841455419033), (2, 2, 613, -3.011787922162),
        (2, 3, 255, -4.5160666296037), (2, 4, 155, -5.1956976010426),
        (2, 5, 173, -5.5065845926186), (2, 6, 234, -5.6520162686592),
        (3, 3, 322, -3.5273451686823), (3, 4, 181, -5.0593079474111),
        (3, 5, 225, -5.6158947463614), (3, 6, 357, -5.8093720794354),
        (4, 4, 240, -3.8483035194311), (4, 5, 284, -5.0956756388634),
        (4, 6, 512, -5.3849365380992), (5, 5, 335, -3.71699930729),
        (5, 6, 728, -4.2951247653844), (6, 6, 1_203, -2.1822484476183),
    ]

    /// Their maximum-likelihood fit, recomputed.
    static let donorFit = (
        parameters: [1.203522351601914, 0.7497163581729389, 0.6567182084418324, 2.783442232577381],
        standardErrors: [0.0693913623889, 0.0294477166604, 0.0510098589564, 0.320819003043],
        logLikelihood: -33_225.5812743470068,
        /// Donors by 0 ... 6 transactions.
        countsBySize: [
            3_454.881992, 1_888.654364, 1_348.882343, 1_113.378537, 1_017.922407, 1_027.166034,
            1_253.114323,
        ],
        /// Of all donors in the next five years.
        expectedTransactions: 12_884.1568488
    )

    struct DonorRow {
        let x: Int
        let tx: Int
        /// In the seventh year.
        let probabilityAlive: Double
        /// In the next five years.
        let expectedTransactions: Double
        /// At .1 a year.
        let discounted: Double
        let probabilityActive: Double
        /// P(2 transactions in the next five years).
        let probabilityOfTwo: Double
    }

    /// At 1.204, .750, .657, 2.783, recomputed.
    static let donorRows = [
        DonorRow(
            x: 0, tx: 0, probabilityAlive: 0.10801658416867,
            expectedTransactions: 0.072802877475043, discounted: 0.11464699618176,
            probabilityActive: 0.047765391699804, probabilityOfTwo: 0.012318629046091),
        DonorRow(
            x: 1, tx: 1, probabilityAlive: 0.06940809320655,
            expectedTransactions: 0.08563539833787, discounted: 0.1348551256045,
            probabilityActive: 0.046611709451566, probabilityOfTwo: 0.014165126657933),
        DonorRow(
            x: 2, tx: 4, probabilityAlive: 0.5895141164337,
            expectedTransactions: 1.0573489419097, discounted: 1.6650699025937,
            probabilityActive: 0.48043189794267, probabilityOfTwo: 0.14578082414228),
        DonorRow(
            x: 5, tx: 6, probabilityAlive: 0.93040254237288,
            expectedTransactions: 3.2312777942184, discounted: 5.0884842163411,
            probabilityActive: 0.90868115269332, probabilityOfTwo: 0.11643570420118),
        DonorRow(
            x: 6, tx: 6, probabilityAlive: 0.93040254237288,
            expectedTransactions: 3.7521156075998, discounted: 5.9086783195554,
            probabilityActive: 0.92315885622599, probabilityOfTwo: 0.06898490220957),
    ]
}
