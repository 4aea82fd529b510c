// What register tiles are made of: single steps without a branch or a loop, because the compiler
// inlines nothing else in callers of the size of a tile, and a call passes vectors through memory.

/// Four vectors, `step` values apart.
@inline(__always)
func load4(
    _ source: UnsafePointer<Float>, _ step: Int = laneCount
) -> (Lanes, Lanes, Lanes, Lanes) {
    (load(source), load(source + step), load(source + 2 * step), load(source + 3 * step))
}

/// Four vectors, `step` values apart.
@inline(__always)
func store4(
    _ target: UnsafeMutablePointer<Float>, _ a: Lanes, _ b: Lanes, _ c: Lanes, _ d: Lanes,
    _ step: Int = laneCount
) {
    store(a, target)
    store(b, target + step)
    store(c, target + 2 * step)
    store(d, target + 3 * step)
}

/// Adds the products of two vectors with one value.
@inline(__always)
func addProducts(
    _ a: inout Lanes, _ b: inout Lanes, _ xa: Lanes, _ xb: Lanes, _ value: Float
) {
    let y = splat(value)
    a = multiplyAdd(a, xa, y)
    b = multiplyAdd(b, xb, y)
}

/// Adds the products of four vectors with one value.
@inline(__always)
func addProducts(
    _ a: inout Lanes, _ b: inout Lanes, _ c: inout Lanes, _ d: inout Lanes,
    _ xa: Lanes, _ xb: Lanes, _ xc: Lanes, _ xd: Lanes, _ value: Float
) {
    addProducts(&a, &b, xa, xb, value)
    addProducts(&c, &d, xc, xd, value)
}

/// Adds the products of four vectors in memory with one value.
@inline(__always)
func addProducts(
    _ a: inout Lanes, _ b: inout Lanes, _ c: inout Lanes, _ d: inout Lanes,
    _ source: UnsafePointer<Float>, _ value: Float
) {
    let (xa, xb, xc, xd) = load4(source)
    addProducts(&a, &b, &c, &d, xa, xb, xc, xd, value)
}

/// Adds the squared differences between two vectors and one value.
@inline(__always)
func addSquares(
    _ a: inout Lanes, _ b: inout Lanes, _ xa: Lanes, _ xb: Lanes, _ value: Float
) {
    let y = splat(value)
    let (da, db) = (xa - y, xb - y)
    a = multiplyAdd(a, da, da)
    b = multiplyAdd(b, db, db)
}

/// Adds the squared differences between four vectors and one value.
@inline(__always)
func addSquares(
    _ a: inout Lanes, _ b: inout Lanes, _ c: inout Lanes, _ d: inout Lanes,
    _ xa: Lanes, _ xb: Lanes, _ xc: Lanes, _ xd: Lanes, _ value: Float
) {
    addSquares(&a, &b, xa, xb, value)
    addSquares(&c, &d, xc, xd, value)
}
