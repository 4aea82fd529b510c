#if !KERNELS_AVX2 && !KERNELS_AVX512

/// Scalar twin of `addPulls`.
@inline(never)
package func scalarAddPulls(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ count: Int, _ ahead: Int, _ intercept: Float,
    _ slope: Float, _ base: Float, _ target: Float, _ vector: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>, _ weights: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        let row = rows + Int(indices[i]) * width
        let d = intercept + slope * values[i]
        let weight = base + d * (target - scalarDot(row, vector, width))
        for k in 0..<width { output[k] += weight * row[k] }
    }
}

/// Scalar twin of `rowProducts`.
@inline(never)
package func scalarRowProducts(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>, _ count: Int,
    _ vector: UnsafePointer<Float>, _ products: UnsafeMutablePointer<Float>,
    _ scratch: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        products[i] = scalarDot(rows + Int(indices[i]) * width, vector, width)
    }
}

/// Scalar twin of `prepareDescent`.
@inline(never)
package func scalarPrepareDescent(
    _ axes: UnsafePointer<Float>, _ width: Int, _ regularization: Float, _ scale: Float,
    _ floor: Float, _ x: UnsafePointer<Float>, _ state: UnsafeMutablePointer<Float>
) {
    for k in 0..<width {
        let raw = axes[k] + regularization
        state[k] = raw * scale
        state[width + k] = 1 / ((raw < floor ? floor : raw) * scale)
        state[4 * width + k] = -(state[k] * x[k])
    }
}

/// Scalar twin of `startDescent`.
@inline(never)
package func scalarStartDescent(_ state: UnsafeMutablePointer<Float>, _ width: Int) -> Float {
    var rho: Float = 0
    for k in 0..<width {
        let r = state[4 * width + k]
        let z = r * state[width + k]
        rho += r * z
        state[2 * width + k] = r
        state[3 * width + k] = z
        state[4 * width + k] = -(state[k] * z)
    }
    return rho
}

/// Scalar twin of `stepDescent`.
@inline(never)
package func scalarStepDescent(
    _ state: UnsafeMutablePointer<Float>, _ width: Int, _ x: UnsafeMutablePointer<Float>,
    _ rho: Float
) -> Float {
    let (residual, direction, image) = (state + 2 * width, state + 3 * width, state + 4 * width)
    let curvature = -scalarDot(direction, image, width)
    let length = rho / curvature
    guard curvature > 0, length.isFinite else { return 0 }
    var next: Float = 0
    for k in 0..<width {
        x[k] += length * direction[k]
        residual[k] += length * image[k]
        next += residual[k] * residual[k] * state[width + k]
    }
    for k in 0..<width {
        direction[k] = residual[k] * state[width + k] + next / rho * direction[k]
        image[k] = -(state[k] * direction[k])
    }
    return next
}

/// Scalar twin of `descendRow`.
@inline(never)
package func scalarDescendRow(
    _ rows: UnsafePointer<Float>, _ width: Int, _ indices: UnsafePointer<Int32>,
    _ values: UnsafePointer<Float>, _ count: Int, _ ahead: Int, _ intercept: Float,
    _ slope: Float, _ axes: UnsafePointer<Float>, _ regularization: Float, _ floor: Float,
    _ x: UnsafeMutablePointer<Float>, _ state: UnsafeMutablePointer<Float>, _ steps: Int,
    _ tolerance: Float
) -> Int32 {
    var largest: Float = 0
    for i in 0..<count { largest = values[i] > largest ? values[i] : largest }
    let scale = 1 / (1 + max(0, intercept + slope * largest))
    let (scaledIntercept, scaledSlope) = (intercept * scale, slope * scale)
    let (direction, image) = (state + 3 * width, state + 4 * width)
    scalarPrepareDescent(axes, width, regularization, scale, floor, x, state)
    scalarAddPulls(
        rows, width, indices, values, count, ahead, scaledIntercept, scaledSlope, scale, 1, x,
        image,
        state)
    let first = scalarStartDescent(state, width)
    var rho = first
    var step = 0
    while step < steps && rho > tolerance * first {
        scalarAddPulls(
            rows, width, indices, values, count, ahead, scaledIntercept, scaledSlope, 0, 0,
            direction,
            image, state)
        rho = scalarStepDescent(state, width, x, rho)
        step += 1
    }
    for k in 0..<width where !x[k].isFinite { return 0 }
    return 1
}

/// Scalar twin of `multiplyRows`.
@inline(never)
package func scalarMultiplyRows(
    _ input: UnsafePointer<Float>, _ count: Int, _ width: Int, _ matrix: UnsafePointer<Float>,
    _ output: UnsafeMutablePointer<Float>
) {
    for i in 0..<count {
        for j in 0..<width { output[i * width + j] = 0 }
        for k in 0..<width {
            for j in 0..<width {
                output[i * width + j] += input[i * width + k] * matrix[k * width + j]
            }
        }
    }
}

#endif
