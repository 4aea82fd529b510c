#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `solveFewEntries`: one system after the other, K by rows in the scratch.
@inline(never)
package func scalarSolveFewEntries(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ starts: UnsafePointer<Int>, _ counts: UnsafePointer<Int>,
    _ alpha: Float, _ base: Float, _ floor: Float, _ scratch: UnsafeMutablePointer<Float>,
    _ solutions: UnsafeMutablePointer<Float>, _ margins: UnsafeMutablePointer<Float>
) {
    for lane in 0..<laneCount {
        let n = counts[lane]
        let (roots, sides, system) = (scratch, scratch + n, scratch + 2 * n)
        func row(_ i: Int) -> UnsafePointer<Float> {
            rows + Int(indices[starts[lane] + i]) * width
        }
        for i in 0..<n {
            let weight = base - 1 + alpha * values[starts[lane] + i]
            roots[i] = (weight < 1e-12 ? 1e-12 : weight).squareRoot()
            sides[i] = (weight + 1) / roots[i]
            for j in 0...i {
                let product = scalarDot(row(i), row(j), width) * roots[i] * roots[j]
                system[i * n + j] = i == j ? 1 + product : product
            }
        }
        margins[lane] = scalarFactorize(system, n, floor)
        for i in 0..<n {
            for j in 0..<i { sides[i] -= system[i * n + j] * sides[j] }
            sides[i] /= system[i * n + i]
        }
        for i in (0..<n).reversed() {
            for j in i + 1..<n { sides[i] -= system[j * n + i] * sides[j] }
            sides[i] /= system[i * n + i]
        }
        let solution = solutions + lane * width
        for f in 0..<width { solution[f] = 0 }
        for i in 0..<n { scalarAxpy(roots[i] * sides[i], row(i), solution, width) }
    }
}

/// The lower Cholesky factor in place; the least margin of a pivot.
private func scalarFactorize(
    _ system: UnsafeMutablePointer<Float>, _ n: Int, _ floor: Float
) -> Float {
    var smallest: Float = 1
    for i in 0..<n {
        let entry = system[i * n + i]
        for j in 0...i {
            var sum = system[i * n + j]
            for k in 0..<j { sum -= system[i * n + k] * system[j * n + k] }
            if i == j {
                let margin = sum - floor * entry
                if !(margin >= smallest) { smallest = margin }
                system[i * n + i] = sum.squareRoot()
            } else {
                system[i * n + j] = sum / system[j * n + j]
            }
        }
    }
    return smallest
}

#endif
