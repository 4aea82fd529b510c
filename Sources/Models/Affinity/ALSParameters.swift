import Foundation

extension ImplicitALS {
    /// How a half-sweep finds a row's factors for fixed factors of the other side.
    package enum Solver: String, Codable, Sendable, CaseIterable {
        /// Exactly, by Cholesky.
        case cholesky
        /// By a few conjugate gradient steps from the previous factors.
        case conjugateGradient
        /// Exactly in one block of factors after the other (iALS++).
        case subspace
    }

    /// What a stored value r says about the confidence c of its pair; every other pair has 1.
    package enum Confidence: String, Codable, Sendable, CaseIterable {
        /// c = 1 + α r, as the paper has it.
        case onePlusAlphaR
        /// c = α r, at least 1: what the Python package `implicit` makes of its input.
        case alphaR
    }

    package struct Parameters: Sendable, Equatable, Codable {
        /// 1 ... 512. More: closer fit, cost of a sweep grows with its square.
        package var factorCount: Int = 32
        /// λ, at least 0. Up: smaller factors, smoother.
        package var regularization: Double = 0.05
        /// α, at least 0. Up: bought products count more against the not bought ones.
        package var confidenceWeight: Double = 10
        /// Sweeps over users and items, at least 1.
        package var iterations: Int = 10
        package var seed: UInt64 = 1
        /// At least 1; does not change the result.
        package var threadCount: Int = 1
        package var solver: Solver = .cholesky
        package var confidence: Confidence = .onePlusAlphaR
        /// ν, 0 ... 1: a row with n entries, m rows being on the other side, is regularized by
        /// λ (n + m / α)ᵛ. 0 is λ for every row; up, the factors of rows with many entries shrink
        /// more, and λ has to be smaller. Needs α above 0 where it is not 0.
        /// Source: S. Rendle, W. Krichene, L. Zhang, Y. Koren, "Revisiting the performance of iALS
        /// on item recommendation benchmarks", 2021, equation 7; its α₀ is 1 / α here, because its
        /// observed pairs have weight 1 and ours α r.
        package var regularizationExponent: Double = 0
        /// Steps a row and half-sweep of `conjugateGradient`, at least 1. Up: closer to the exact
        /// solution, in proportion slower.
        package var conjugateGradientSteps: Int = 3
        /// Factors of a block of `subspace`, at least 1, rounded up to a multiple of 16. Up: closer
        /// to the exact solution, slower.
        package var subspaceSize: Int = 64

        /// Without the thread count: it changes no result, so it may change no file.
        private enum CodingKeys: String, CodingKey {
            case factorCount, regularization, confidenceWeight, iterations, seed
            case solver, confidence, regularizationExponent
            case conjugateGradientSteps, subspaceSize
        }

        package init(
            factorCount: Int = 32, regularization: Double = 0.05, confidenceWeight: Double = 10,
            iterations: Int = 10, seed: UInt64 = 1, threadCount: Int = 1,
            solver: Solver = .cholesky, confidence: Confidence = .onePlusAlphaR,
            regularizationExponent: Double = 0, conjugateGradientSteps: Int = 3,
            subspaceSize: Int = 64
        ) {
            self.factorCount = factorCount
            self.regularization = regularization
            self.confidenceWeight = confidenceWeight
            self.iterations = iterations
            self.seed = seed
            self.threadCount = threadCount
            self.solver = solver
            self.confidence = confidence
            self.regularizationExponent = regularizationExponent
            self.conjugateGradientSteps = conjugateGradientSteps
            self.subspaceSize = subspaceSize
        }

        /// A file may lack the settings that came later; it then meant their defaults.
        package init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            factorCount = try values.decode(Int.self, forKey: .factorCount)
            regularization = try values.decode(Double.self, forKey: .regularization)
            confidenceWeight = try values.decode(Double.self, forKey: .confidenceWeight)
            iterations = try values.decode(Int.self, forKey: .iterations)
            seed = try values.decode(UInt64.self, forKey: .seed)
            solver = try values.decodeIfPresent(Solver.self, forKey: .solver) ?? .cholesky
            confidence =
                try values.decodeIfPresent(Confidence.self, forKey: .confidence)
                ?? .onePlusAlphaR
            regularizationExponent =
                try values.decodeIfPresent(Double.self, forKey: .regularizationExponent) ?? 0
            conjugateGradientSteps =
                try values.decodeIfPresent(Int.self, forKey: .conjugateGradientSteps) ?? 3
            subspaceSize = try values.decodeIfPresent(Int.self, forKey: .subspaceSize) ?? 64
        }

        /// - Throws: `outOfRange` for the first setting outside its range.
        package func check() throws(ModelError) {
            guard (1...512).contains(factorCount) else {
                throw .outOfRange(
                    what: "factorCount", actual: Double(factorCount), allowed: "1 ... 512")
            }
            guard (0...ImplicitALS.largestWeight).contains(regularization) else {
                throw .outOfRange(
                    what: "regularization", actual: regularization, allowed: "0 ... 1e15")
            }
            guard (0...ImplicitALS.largestWeight).contains(confidenceWeight) else {
                throw .outOfRange(
                    what: "confidenceWeight", actual: confidenceWeight, allowed: "0 ... 1e15")
            }
            guard iterations >= 1 else {
                throw .outOfRange(
                    what: "iterations", actual: Double(iterations), allowed: "at least 1")
            }
            guard threadCount >= 1 else {
                throw .outOfRange(
                    what: "threadCount", actual: Double(threadCount), allowed: "at least 1")
            }
            guard conjugateGradientSteps >= 1 else {
                throw .outOfRange(
                    what: "conjugateGradientSteps", actual: Double(conjugateGradientSteps),
                    allowed: "at least 1")
            }
            guard (1...512).contains(subspaceSize) else {
                throw .outOfRange(
                    what: "subspaceSize", actual: Double(subspaceSize), allowed: "1 ... 512")
            }
            guard (0...1).contains(regularizationExponent) else {
                throw .outOfRange(
                    what: "regularizationExponent", actual: regularizationExponent,
                    allowed: "0 ... 1")
            }
            guard regularizationExponent == 0 || confidenceWeight > 0 else {
                throw .outOfRange(
                    what: "confidenceWeight with a regularizationExponent",
                    actual: confidenceWeight, allowed: "above 0")
            }
        }

        /// Refuses a regularization that grows out of single precision for rows with all entries.
        func checkRegularization(rowCount: Int, columnCount: Int) throws(ModelError) {
            let largest = max(
                regularization(entryCount: columnCount, otherCount: columnCount),
                regularization(entryCount: rowCount, otherCount: rowCount))
            guard (0...ImplicitALS.largestWeight).contains(largest) else {
                throw .outOfRange(
                    what: "regularization times (entries + rows of the other side / "
                        + "confidenceWeight) to the power of regularizationExponent",
                    actual: largest, allowed: "0 ... 1e15")
            }
        }

        /// The confidence of a stored value is this plus α r.
        var confidenceBase: Double { confidence == .onePlusAlphaR ? 1 : 0 }

        /// Factors a row takes in memory: the count rounded up to a multiple of 16.
        var width: Int { (factorCount + 15) / 16 * 16 }

        /// The regularization of a row with `entryCount` entries, `otherCount` rows being on the
        /// other side.
        func regularization(entryCount: Int, otherCount: Int) -> Double {
            if regularizationExponent == 0 { return regularization }
            let weight = Double(entryCount) + Double(otherCount) / confidenceWeight
            return regularization * pow(weight, regularizationExponent)
        }
    }
}
