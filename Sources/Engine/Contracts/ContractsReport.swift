package import Models

/// What a table of contracts says: who leaves, and how long they stay.
package struct ContractsReport: Codable, Equatable, Sendable {
    package let path: String
    package let rowCount: Int
    package let leftCount: Int
    /// As `Column=Value`.
    package let outcome: String
    package let columns: [ContractColumn]
    package let churn: ContractChurnReport
    /// Nil where no column of durations was named.
    package let stay: ContractStayReport?
    /// Nil where none were written.
    package let scoresPath: String?
    package let seed: UInt64
    /// What to look at before the figures are believed.
    package let warnings: [String]
}

/// How a column was read.
package struct ContractColumn: Codable, Equatable, Sendable {
    package let name: String
    /// Nil for numbers.
    package internal(set) var categoryCount: Int?
    package let missingCount: Int
    /// Why it has no part; nil where it has.
    package internal(set) var leftOut: String?
    package internal(set) var warning: String?

    init(name: String, missingCount: Int) {
        self.name = name
        self.missingCount = missingCount
    }
}

/// Who leaves. Every figure of `evaluation` is of contracts that the model had not seen.
package struct ContractChurnReport: Codable, Equatable, Sendable {
    package let model: ContractOptions.Model
    package let foldCount: Int
    package let evaluation: ProbabilitySummary
    /// Area under the curve of each fold alone.
    package let foldAreas: [Double]
    /// Trees that each fold's model has; empty for logistic regression.
    package let treeCounts: [Int]
    /// Of the model of all contracts, the largest first.
    package let influences: [ColumnInfluence]
    /// Of a logistic regression only.
    package let oddsRatios: OddsRatioReport?
    /// Of the contracts that have not ended, those with the highest probabilities.
    package let mostAtRisk: [ScoredContract]
}

/// How much a column moves the scores.
package struct ColumnInfluence: Codable, Equatable, Sendable {
    package let column: String
    /// Mean over the contracts, in log-odds.
    package let meanAbsoluteContribution: Double
    /// Of the sum over all columns.
    package let share: Double
    /// Where the contribution is highest: a category, "low", "high" or "missing"; nil where that is not
    /// one place.
    package let leavingWhere: String?
}

/// A contract with its probability from a model that has not seen it.
package struct ScoredContract: Codable, Equatable, Sendable {
    package struct Reason: Codable, Equatable, Sendable {
        package let column: String
        /// Of the contract; empty where it is missing.
        package let value: String
        /// In log-odds, above 0 towards leaving.
        package let effect: Double
    }

    /// Its id, or its line.
    package let name: String
    package let hasLeft: Bool
    package let fold: Int
    package let probability: Double
    package let reasons: [Reason]
}

/// The odds ratios of a logistic regression of all contracts.
package struct OddsRatioReport: Codable, Equatable, Sendable {
    package enum Basis: String, Codable, Sendable {
        case allContracts
        /// Those without an empty field.
        case completeContracts
        /// All, with a penalty that draws the ratios towards 1.
        case penalized
    }

    package struct Row: Codable, Equatable, Sendable {
        package let column: String
        /// "tenure", "Contract = Two year", "tenure is missing".
        package let term: String
        /// The category that it is compared with.
        package let reference: String?
        /// Of one unit more.
        package let oddsRatio: Double
        package let lower: Double
        package let upper: Double
        /// Of one standard deviation more.
        package let oddsRatioPerDeviation: Double
        package let z: Double
        package let pValue: Double
    }

    package struct Dropped: Codable, Equatable, Sendable {
        package let term: String
        /// The terms that add up to it; empty for one with a single value.
        package let with: [String]
    }

    package let basis: Basis
    /// Why not all contracts, or not without penalty.
    package let basisReason: String?
    package let rowCount: Int
    package let rows: [Row]
    package let dropped: [Dropped]
    package let logLikelihood: Double
    package let nullLogLikelihood: Double
}

/// How long contracts last; the outcome is the event, those that have not ended are censored.
package struct ContractStayReport: Codable, Equatable, Sendable {
    package let durationColumn: String
    package let eventCount: Int
    package let lastTime: Double
    /// At which the curves are told.
    package let times: [Double]
    package let overall: StayCurve
    /// Of all columns, the clearest difference first.
    package let tests: [StayTest]
    /// Curves of the clearest ones.
    package let groups: [StayGroups]
    package let factors: StayFactors?
    /// Why there are none.
    package let factorsProblem: String?
    /// Columns that tell how long rather than why, and have no part here.
    package let growing: [GrowingColumn]
}

/// A Kaplan-Meier curve at some times.
package struct StayCurve: Codable, Equatable, Sendable {
    package struct Point: Codable, Equatable, Sendable {
        package let time: Double
        package let atRisk: Double
        /// Share still there, with its 95 % limits.
        package let share: SurvivalEstimate
    }

    package let name: String
    package let rowCount: Int
    package let eventCount: Int
    package let median: SurvivalQuantile
    /// Up to the last time at which anybody was watched.
    package let points: [Point]
    /// The mean stay up to `meanHorizon`.
    package let mean: SurvivalEstimate?
    package let meanHorizon: Double?
}

/// Whether the groups of a column last equally long.
package struct StayTest: Codable, Equatable, Sendable {
    package let column: String
    package let logRank: LogRankTest
    /// For the number of columns.
    package let adjustedPValue: Double
}

package struct StayGroups: Codable, Equatable, Sendable {
    package let column: String
    package let curves: [StayCurve]
}

/// Hazard ratios by Cox's regression, ranked.
package struct StayFactors: Codable, Equatable, Sendable {
    package struct Row: Codable, Equatable, Sendable {
        package let term: String
        package let reference: String?
        /// Of one unit more: above 1 the contract ends sooner.
        package let hazardRatio: Double
        package let lower: Double
        package let upper: Double
        package let hazardRatioPerDeviation: Double
        package let pValue: Double
    }

    package struct Factor: Codable, Equatable, Sendable {
        package let column: String
        package let likelihoodRatioDrop: ChiSquareTest
        package let adjustedPValue: Double
        package let rows: [Row]
    }

    package let factors: [Factor]
    package let omitted: [OmittedColumn]
    package let concordance: Double?
    /// Above 0 where the likelihood had no maximum without it; `ridgeReason` says why.
    package let ridge: Double
    package let ridgeReason: String?
    package let logLikelihood: Double
    package let nullLogLikelihood: Double
}

/// A column that grows with the duration.
package struct GrowingColumn: Codable, Equatable, Sendable {
    package let column: String
    /// The column that the duration is multiplied with; nil for the duration alone.
    package let with: String?
    /// Of numbers the correlation, of categories the square root of the share of the variance.
    package let correlation: Double
}
