/// 1 / √x of each lane for normal x above 0, within 2 units in the last place; finite for 0.
///
/// The square root of the standard library is one lane at a time, with a call for each negative
/// one. Here the exponent is halved as an integer, and three Newton steps take the 3.4 % error of
/// that to 1e-10; two leave 5e-6.
@inline(__always)
func reciprocalRoot(_ x: Lanes, steps: Int = 3) -> Lanes {
    let bits = unsafeBitCast(x, to: LaneIndices.self)
    let guess = LaneIndices(repeating: 0x5f37_59df) &- (bits &>> LaneIndices(repeating: 1))
    var y = unsafeBitCast(guess, to: Lanes.self)
    let half = x * splat(-0.5)
    // In this order the products stay finite for 0.
    for _ in 0..<steps { y = y * multiplyAdd(splat(1.5), half * y, y) }
    return y
}

/// √x from 1 / √x by one more step, which squares the reciprocal's error and leaves about half a unit
/// in the last place, also where that took two steps; 0 for 0.
@inline(__always)
func squareRoot(_ x: Lanes, reciprocal: Lanes) -> Lanes {
    let root = x * reciprocal
    return multiplyAdd(root, reciprocal * splat(0.5), multiplyAdd(x, -root, root))
}
