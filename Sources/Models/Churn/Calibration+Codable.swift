/// Read as it is written, and refused where no fit gives it: a look-up relies on as many probabilities
/// as scores, in order.
extension Calibration: Codable {
    private enum Key: String, CodingKey {
        case isotonic, platt
        case scores, probabilities
        case slope, intercept
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let key = container.contains(.isotonic) ? Key.isotonic : .platt
        let values = try container.nestedContainer(keyedBy: Key.self, forKey: key)
        if key == .isotonic {
            self = .isotonic(
                scores: try values.decode([Double].self, forKey: .scores),
                probabilities: try values.decode([Double].self, forKey: .probabilities))
        } else {
            self = .platt(
                slope: try values.decode(Double.self, forKey: .slope),
                intercept: try values.decode(Double.self, forKey: .intercept))
        }
        if let flaw {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: container, debugDescription: "a calibration with \(flaw)")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        switch self {
        case .isotonic(let scores, let probabilities):
            var values = container.nestedContainer(keyedBy: Key.self, forKey: .isotonic)
            try values.encode(scores, forKey: .scores)
            try values.encode(probabilities, forKey: .probabilities)
        case .platt(let slope, let intercept):
            var values = container.nestedContainer(keyedBy: Key.self, forKey: .platt)
            try values.encode(slope, forKey: .slope)
            try values.encode(intercept, forKey: .intercept)
        }
    }

    /// Why no fit gives it; nil where one may.
    private var flaw: String? {
        switch self {
        case .isotonic(let scores, let probabilities):
            if scores.isEmpty { return "no scores" }
            if scores.count != probabilities.count {
                return "\(probabilities.count) probabilities of \(scores.count) scores"
            }
            let areFinite = scores.allSatisfy { $0.isFinite }
            if !areFinite || zip(scores, scores.dropFirst()).contains(where: { $0 >= $1 }) {
                return "scores that are not finite or do not ascend"
            }
            let areShares = probabilities.allSatisfy { (0...1).contains($0) }
            if !areShares || zip(probabilities, probabilities.dropFirst()).contains(where: >) {
                return "probabilities outside of 0 ... 1 or that fall"
            }
            return nil
        case .platt(let slope, let intercept):
            let isSound = slope >= 0 && slope.isFinite && intercept.isFinite
            return isSound ? nil : "a slope below 0 or numbers that are not finite"
        }
    }
}
