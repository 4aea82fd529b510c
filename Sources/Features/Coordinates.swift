#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Places on the globe as points of the unit sphere: of latitude φ and longitude λ
/// (cos φ cos λ, cos φ sin λ, sin φ). Distances between such points are chords of the globe, so that
/// longitudes 179.9 and -179.9 are neighbours and a degree of longitude is short near the poles;
/// a chord of 0.0157 is 100 km.
package struct Coordinates: Sendable, Equatable {
    /// Of the columns of degrees.
    package let names: [String]
    /// Whether both degrees are known.
    package let valid: [Bool]
    /// x, y and z; 0 where not valid.
    package let axes: [[Double]]

    /// - Parameter columns: of as many rows each.
    /// - Returns: nil where one of the two is none of the columns, or is no number.
    /// - Throws: `.coordinateOutOfRange` for a latitude outside ±90 or a longitude outside ±180.
    package init?(
        latitude: String, longitude: String, of columns: [CustomerAttributes.Column]
    ) throws(FeatureError) {
        func numbers(_ name: String) -> (values: [Double], valid: [Bool])? {
            guard
                case .number(let values, let valid)? = columns.first(where: { $0.name == name })?
                    .values
            else { return nil }
            return (values, valid)
        }
        guard let north = numbers(latitude), let east = numbers(longitude) else { return nil }
        for (name, column, limit) in [(latitude, north, 90.0), (longitude, east, 180)] {
            for row in column.values.indices
            where column.valid[row] && !(abs(column.values[row]) <= limit) {
                throw .coordinateOutOfRange(attribute: name, row: row, limit: limit)
            }
        }
        names = [latitude, longitude]
        let valid = zip(north.valid, east.valid).map { $0 && $1 }
        self.valid = valid
        var axes = [[Double]](
            repeating: [Double](repeating: 0, count: valid.count), count: 3)
        for row in valid.indices where valid[row] {
            let (phi, lambda) = (
                north.values[row] * .pi / 180, east.values[row] * .pi / 180
            )
            axes[0][row] = cos(phi) * cos(lambda)
            axes[1][row] = cos(phi) * sin(lambda)
            axes[2][row] = sin(phi)
        }
        self.axes = axes
    }

    /// The place in whose direction a point lies, in degrees; nil for the middle of the globe, from
    /// which there is none.
    package static func degrees(
        _ x: Double, _ y: Double, _ z: Double
    ) -> (latitude: Double, longitude: Double)? {
        let flat = (x * x + y * y).squareRoot()
        guard flat + abs(z) > 1e-6 else { return nil }
        return (atan2(z, flat) * 180 / .pi, atan2(y, x) * 180 / .pi)
    }
}
