/// Pareto/NBD and MBG/NBD; see `GoldenTables`.
extension GoldenTables {
    /// Fader, Hardie & Lee 2005, rounded as in their notes; CDNOW.
    static let publishedPareto = FittedParetoNBD(
        r: 0.5534, alpha: 10.5802, s: 0.6061, beta: 11.6562, grid: .week)

    /// CDNOW, rounded.
    static let publishedModified = FittedBGNBD(
        r: 0.525, alpha: 6.183, a: 0.891, b: 1.614, grid: .week, variant: .modified)

    /// For the histories of `customers`: Pareto/NBD's P(alive), purchases expected in 52 weeks and
    /// DERT at .0027 a week; MBG/NBD's P(alive) and purchases expected in 52 weeks.
    static let otherModels = [
        [0.2941422, 0.1354377, 0.4746715, 0.3893476, 0.1969861],
        [0.3972317, 0.5134169, 1.7993838, 0.3800076, 0.5327918],
        [0.8582746, 1.8234257, 6.3906010, 0.6983270, 1.5754957],
        [0.3613165, 1.6695127, 5.8511787, 0.2669996, 1.2628968],
        [0.9866147, 8.6632921, 30.3624341, 0.9114980, 7.9935548],
        [0.9979178, 25.4549135, 86.0303756, 0.9655661, 24.0039228],
        [9.31e-5, 0.0020574, 0.0072106, 1.61e-5, 0.0003469],
    ]

    /// E[X(t)], t = 1 ... 9, at `publishedPareto`.
    static let paretoRepeatPurchases = [
        0.0510045, 0.0996209, 0.1461243, 0.1907419, 0.2336638, 0.2750506, 0.3150399, 0.3537502,
        0.3912843,
    ]

    private static let manyRepeats = FittedParetoNBD(
        r: 0.5143, alpha: 2.8845, s: 0.2856, beta: 14.1087, grid: .week)
    private static let quickBuyers = FittedParetoNBD(
        r: 10.465, alpha: 0.00798565181, s: 3.0516, beta: 2.820, grid: .week)

    /// Probabilities that packages return as NaN.
    static let paretoTraps:
        [(
            model: FittedParetoNBD, x: Int, tx: Double, age: Double, value: Double,
            tolerance: Double
        )] = [
            (manyRepeats, 221, 103.42857, 103.57143, 0.9995960523, 5.1e-11),
            (manyRepeats, 254, 97.14286, 97.28571, 0.9995582261, 5.1e-11),
            (manyRepeats, 161, 94.71429, 98, 0.7494877523, 5.1e-11),
            (manyRepeats, 204, 98.57143, 99.42857, 0.9942550796, 5.1e-11),
            (quickBuyers, 40, 5, 6, 1.885128187e-3, 5.1e-13),
            (quickBuyers, 50, 1, 37, 1.4171e-96, 5.1e-101),
            (quickBuyers, 50, 4, 37, 6.7330e-60, 5.1e-65),
            (quickBuyers, 400, 5, 6, 5.1375e-31, 5.1e-36),
            (quickBuyers, 500, 1, 37, 0, 0),
        ]
}
