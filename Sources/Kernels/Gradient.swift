import CPlatform

// Conjugate gradients on one row's normal equations, in the axes in which the matrix of the fixed
// side is diagonal (see ConjugateGradientSweep in Models). `width` is a multiple of 16.
//
// The state of a row is `[5 × width]`, and 320 values more to work with:
//
//   diagonal    of the system without the row's entries, scaled
//   inverse     1 / diagonal: the preconditioner
//   residual    right side - system · x
//   direction   of the next step
//   image       - system · direction; before the first step: the residual

/// Entries whose weights are worked out before they are used: 16 KiB of rows at 64 factors, which
/// the second use finds in the first-level cache.
private let pullCount = 64

/// Adds the pull of a row's entries: `output += Σ w z`, with `z = rows[indices[i]]`,
/// `w = base + d (target - z · vector)` and `d = intercept + slope · values[i]`.
///
/// With `base = target = 1` and `output = - diagonal ∘ vector` the sum is the residual at `vector`;
/// with `base = target = 0` it is minus the system times `vector`.
/// - Parameters:
///   - rows: `[… × width]`, row-major.
///   - ahead: how many of `indices` are known beyond `count`. While a group of rows is used, the
///     next group is fetched: with -1 none is, for rows that were used just before.
///   - vector, output: `[width]`.
///   - scratch: room for 320 values.
@inline(never)
package func addPulls(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ count: Int, _ ahead: Int, _ intercept: Float, _ slope: Float,
    _ base: Float, _ target: Float, _ vector: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
) {
    let quarters = scratch + pullCount
    var first = 0
    while first < count {
        let n = min(pullCount, count - first)
        let (index, value) = (indices + first, values + first)
        if ahead >= 0 {
            fetchRows(rows, width, index + n, min(pullCount, count + ahead - first - n))
        }
        storeQuarters(rows, width, index, n, vector, quarters)
        var i = 0
        while i + 4 <= n {
            let d = intercept + slope * loadFour(value + i)
            storeFour(base + d * (target - fourSums(quarters + 4 * i)), scratch + i)
            i += 4
        }
        if i < n {
            storeFour(fourSums(quarters + 4 * i), scratch + i)
            while i < n {
                let d = intercept + slope * value[i]
                scratch[i] = base + d * (target - scratch[i])
                i += 1
            }
        }
        addWeightedRows(rows, width, index, n, scratch, output)
        first += n
    }
}

/// Asks for rows that are used soon: their memory is far, and they are in no order that the
/// processor could foresee.
@inline(__always)
private func fetchRows(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int
) {
    var i = 0
    while i < count {
        let row = rows + Int(indices[i]) * width
        var k = 0
        while k < width {
            patron_prefetch_second(row + k)
            k += 16
        }
        i += 1
    }
}

/// `products[i] = rows[indices[i]] · vector`.
/// - Parameters:
///   - rows: `[… × width]`, row-major.
///   - products: `[count]`, out.
///   - scratch: room for 320 values.
@inline(never)
package func rowProducts(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int,
    _ vector: UnsafePointer<Float>, _ products: UnsafeMutablePointer<Float>,
    _ scratch: UnsafeMutablePointer<Float>
) {
    let quarters = scratch + pullCount
    var first = 0
    while first < count {
        let n = min(pullCount, count - first)
        storeQuarters(rows, width, indices + first, n, vector, quarters)
        var i = 0
        while i < n {
            storeFour(fourSums(quarters + 4 * i), scratch + i)
            i += 4
        }
        for i in 0..<n { products[first + i] = scratch[i] }
        first += n
    }
}

/// Four partial sums each of the products of at least one row with `vector`, four columns of vectors
/// at a time.
///
/// A row's lanes are added up one turn of the loop later: where the compiler sees where they come
/// from, it takes all the vectors apart.
@inline(__always)
private func storeQuarters(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int,
    _ vector: UnsafePointer<Float>, _ quarters: UnsafeMutablePointer<Float>
) {
    var column = 0
    while column + 4 * laneCount <= width {
        let (v0, v1, v2, v3) = load4(vector + column)
        var target = quarters
        var sum = Lanes.zero
        for i in 0..<count {
            let y = rows + Int(indices[i]) * width + column
            if i > 0 {
                addQuarters(sum, target, isFirst: column == 0)
                target += 4
            }
            sum = load(y) * v0
            sum = multiplyAdd(sum, v1, load(y + laneCount))
            sum = multiplyAdd(sum, v2, load(y + 2 * laneCount))
            sum = multiplyAdd(sum, v3, load(y + 3 * laneCount))
        }
        addQuarters(sum, target, isFirst: column == 0)
        column += 4 * laneCount
    }
    while column < width {
        let v = load(vector + column)
        var target = quarters
        var sum = Lanes.zero
        for i in 0..<count {
            let y = rows + Int(indices[i]) * width + column
            if i > 0 {
                addQuarters(sum, target, isFirst: column == 0)
                target += 4
            }
            sum = load(y) * v
        }
        addQuarters(sum, target, isFirst: column == 0)
        column += laneCount
    }
}

/// Adds four partial sums of the lanes to what `target` holds, or starts it.
@inline(__always)
private func addQuarters(
    _ value: Lanes, _ target: UnsafeMutablePointer<Float>, isFirst: Bool
) {
    let sums = quarterSums(value)
    storeFour(isFirst ? sums : loadFour(target) + sums, target)
}

/// `output += Σ weights[i] · rows[indices[i]]`, four columns of vectors at a time, whose sums stay
/// in registers. Two sums a column: one would wait for itself.
@inline(__always)
private func addWeightedRows(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int,
    _ weights: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>
) {
    var column = 0
    while column + 4 * laneCount <= width {
        let target = output + column
        var (a0, a1, a2, a3) = load4(target)
        var (b0, b1, b2, b3) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var i = 0
        while i + 2 <= count {
            let x = rows + Int(indices[i]) * width + column
            let y = rows + Int(indices[i + 1]) * width + column
            addProducts(&a0, &a1, &a2, &a3, x, weights[i])
            addProducts(&b0, &b1, &b2, &b3, y, weights[i + 1])
            i += 2
        }
        if i < count {
            let x = rows + Int(indices[i]) * width + column
            addProducts(&a0, &a1, &a2, &a3, x, weights[i])
        }
        store4(target, a0 + b0, a1 + b1, a2 + b2, a3 + b3)
        column += 4 * laneCount
    }
    while column < width {
        var (a, b) = (load(output + column), Lanes.zero)
        var i = 0
        while i + 2 <= count {
            let x = rows + Int(indices[i]) * width + column
            let y = rows + Int(indices[i + 1]) * width + column
            a = multiplyAdd(a, splat(weights[i]), load(x))
            b = multiplyAdd(b, splat(weights[i + 1]), load(y))
            i += 2
        }
        if i < count {
            let x = rows + Int(indices[i]) * width + column
            a = multiplyAdd(a, splat(weights[i]), load(x))
        }
        store(a + b, output + column)
        column += laneCount
    }
}

/// Four partial sums of the lanes.
@inline(__always)
private func quarterSums(_ value: Lanes) -> SIMD4<Float> {
    #if KERNELS_AVX512
    let eight = value.lowHalf + value.highHalf
    return eight.lowHalf + eight.highHalf
    #elseif KERNELS_AVX2
    return value.lowHalf + value.highHalf
    #else
    return value
    #endif
}

/// The sums of four times four partial sums.
@inline(__always)
private func fourSums(_ quarters: UnsafePointer<Float>) -> SIMD4<Float> {
    let all = UnsafeRawPointer(quarters).loadUnaligned(as: SIMD16<Float>.self)
    let halves = all.evenHalf + all.oddHalf
    return halves.evenHalf + halves.oddHalf
}

@inline(__always)
private func loadFour(_ source: UnsafePointer<Float>) -> SIMD4<Float> {
    UnsafeRawPointer(source).loadUnaligned(as: SIMD4<Float>.self)
}

@inline(__always)
private func storeFour(_ value: SIMD4<Float>, _ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: SIMD4<Float>.self)
}

/// Sets a row's state before its entries are added: the diagonal, its inverse and, as the image,
/// `- diagonal ∘ x`.
/// - Parameters:
///   - axes: `[width]`, the diagonal without regularization, at least 0.
///   - scale: what the whole system is multiplied by.
///   - floor: the least diagonal element that the preconditioner divides by, above 0.
@inline(never)
package func prepareDescent(
    _ axes: UnsafePointer<Float>, _ width: Int, _ regularization: Float, _ scale: Float,
    _ floor: Float, _ x: UnsafePointer<Float>, _ state: UnsafeMutablePointer<Float>
) {
    let image = state + 4 * width
    let (lambda, factor, least) = (splat(regularization), splat(scale), splat(floor))
    var k = 0
    while k < width {
        let raw = load(axes + k) + lambda
        let diagonal = raw * factor
        var divisor = raw
        divisor.replace(with: least, where: raw .< least)
        store(diagonal, state + k)
        store(splat(1) / (divisor * factor), state + width + k)
        store(Lanes.zero - diagonal * load(x + k), image + k)
        k += laneCount
    }
}

/// Takes the image as the residual and chooses the first direction.
/// - Returns: ρ = residual · inverse ∘ residual.
@inline(never)
package func startDescent(_ state: UnsafeMutablePointer<Float>, _ width: Int) -> Float {
    let (inverse, residual) = (state + width, state + 2 * width)
    let (direction, image) = (state + 3 * width, state + 4 * width)
    var sum = Lanes.zero
    var k = 0
    while k < width {
        let r = load(image + k)
        let z = r * load(inverse + k)
        sum = multiplyAdd(sum, r, z)
        store(r, residual + k)
        store(z, direction + k)
        store(Lanes.zero - load(state + k) * z, image + k)
        k += laneCount
    }
    return horizontalSum(sum)
}

/// One step of conjugate gradients along the direction, whose image the state holds.
/// - Parameters:
///   - x: `[width]`, in and out.
///   - rho: what the step before returned.
/// - Returns: the next ρ; 0, with `x` unchanged, where the direction has no curvature left.
@inline(never)
package func stepDescent(
    _ state: UnsafeMutablePointer<Float>, _ width: Int, _ x: UnsafeMutablePointer<Float>,
    _ rho: Float
) -> Float {
    let (inverse, residual) = (state + width, state + 2 * width)
    let (direction, image) = (state + 3 * width, state + 4 * width)
    var sum = Lanes.zero
    var k = 0
    while k < width {
        sum = multiplyAdd(sum, load(direction + k), load(image + k))
        k += laneCount
    }
    let curvature = -horizontalSum(sum)
    let length = rho / curvature
    guard curvature > 0, length.isFinite else { return 0 }
    let a = splat(length)
    var next = Lanes.zero
    k = 0
    while k < width {
        let r = multiplyAdd(load(residual + k), a, load(image + k))
        store(multiplyAdd(load(x + k), a, load(direction + k)), x + k)
        store(r, residual + k)
        next = multiplyAdd(next, r, r * load(inverse + k))
        k += laneCount
    }
    let nextRho = horizontalSum(next)
    let b = splat(nextRho / rho)
    k = 0
    while k < width {
        let z = load(residual + k) * load(inverse + k)
        let p = multiplyAdd(z, b, load(direction + k))
        store(p, direction + k)
        store(Lanes.zero - load(state + k) * p, image + k)
        k += laneCount
    }
    return nextRho
}

/// Conjugate gradients on one row from `x`: at most `steps` steps, fewer where ρ has fallen to
/// `tolerance` of its first value.
/// - Parameters:
///   - rows, indices, values, count, ahead, intercept, slope: as for `addPulls`.
///   - axes, regularization, scale, floor: as for `prepareDescent`.
///   - x: `[width]`, in and out.
///   - state: `[5 × width + 320]`, any content.
/// - Returns: 1 where `x` is finite, else 0.
@inline(never)
package func descendRow(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ count: Int, _ ahead: Int, _ intercept: Float,
    _ slope: Float, _ axes: UnsafePointer<Float>, _ regularization: Float, _ floor: Float,
    _ x: UnsafeMutablePointer<Float>, _ state: UnsafeMutablePointer<Float>, _ steps: Int,
    _ tolerance: Float
) -> Int32 {
    var largest: Float = 0
    for i in 0..<count { largest = values[i] > largest ? values[i] : largest }
    // Scaled so that the largest weight is about 1: no sum overflows, however large a confidence.
    let scale = 1 / (1 + max(0, intercept + slope * largest))
    let (scaledIntercept, scaledSlope) = (intercept * scale, slope * scale)
    let (direction, image) = (state + 3 * width, state + 4 * width)
    let scratch = state + 5 * width
    prepareDescent(axes, width, regularization, scale, floor, x, state)
    addPulls(
        rows, width, indices, values, count, ahead, scaledIntercept, scaledSlope, scale, 1, x,
        image, scratch)
    let first = startDescent(state, width)
    var rho = first
    var step = 0
    while step < steps && rho > tolerance * first {
        addPulls(
            rows, width, indices, values, count, -1, scaledIntercept, scaledSlope, 0, 0,
            direction, image, scratch)
        rho = stepDescent(state, width, x, rho)
        step += 1
    }
    // A number times 0 is 0, anything else is not a number.
    var sum = Lanes.zero
    var k = 0
    while k < width {
        sum = multiplyAdd(sum, load(x + k), Lanes.zero)
        k += laneCount
    }
    return horizontalSum(sum) == 0 ? 1 : 0
}
