// Sums of 1 − (1 + p t)^(−k), of which expected purchases are made: lanes are values of p.

/// ln(1 + x) for x from 0 to the largest double below infinity; at most 2 units in the last place.
/// What rounding 1 + x left out is added to first order.
/// Source: HP-15C Advanced Functions Handbook, Appendix; W. Kahan.
@inline(__always)
private func logarithmOfOnePlus(_ x: DoubleLanes) -> DoubleLanes {
    let one = DoubleLanes(repeating: 1)
    let sum = x + one
    return logarithm(sum) + (x - (sum - one)) / sum
}

/// 1 − e^x for x not above 0, to 2 units in the last place: with x = n ln 2 + r it is
/// (1 − 2^n) − 2^n (e^r − 1), whose parts have no digits in common to lose but at n = 0.
@inline(__always)
private func complementOfExponential(_ x: DoubleLanes) -> DoubleLanes {
    var x = x
    // e^−60 is below the last place of 1.
    x.replace(with: DoubleLanes(repeating: -60), where: x .< DoubleLanes(repeating: -60))
    let (n, rest) = reducedExponential(x)
    let power = powerOfTwo(n)
    return DoubleLanes(repeating: 1) - power - power * rest
}

/// `output[j] = Σ weights[i] · (1 − (1 + points[i] · times[j])^(−shape))`.
/// - Parameters:
///   - points: `[count]`, not negative.
///   - weights: `[count]`.
///   - times: `[timeCount]`, not negative; no product with a point is infinite.
///   - shape: not negative.
///   - output: `[timeCount]`, out.
@inline(never)
package func powerComplements(
    _ points: UnsafePointer<Double>, _ weights: UnsafePointer<Double>, _ count: Int,
    _ times: UnsafePointer<Double>, _ timeCount: Int, _ shape: Double,
    _ output: UnsafeMutablePointer<Double>
) {
    let exponent = DoubleLanes(repeating: -shape)
    for j in 0..<timeCount {
        let time = DoubleLanes(repeating: times[j])
        var sum = DoubleLanes.zero
        var i = 0
        while i + doubleLaneCount <= count {
            let power = exponent * logarithmOfOnePlus(load(points + i) * time)
            sum = multiplyAdd(sum, load(weights + i), complementOfExponential(power))
            i += doubleLaneCount
        }
        if i < count {
            let power = exponent * logarithmOfOnePlus(loadTail(points + i, count - i) * time)
            let complement = complementOfExponential(power)
            sum = multiplyAdd(sum, loadTail(weights + i, count - i), complement)
        }
        output[j] = horizontalSum(sum)
    }
}
