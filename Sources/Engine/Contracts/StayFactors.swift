import Foundation
import Models

extension StayFactors {
    /// Terms of one regression; beyond this it takes long and says little.
    private static let termLimit = 300
    /// Events that a category or a missing value needs for a ratio of its own.
    private static let leastEvents = 5

    /// Cox's regression of the stay on all columns, ties by Efron. Categories are compared with the most
    /// frequent one, rare ones taken together; a missing number counts as the mean and has a term that
    /// says so where that is not rare. Where the likelihood has no maximum, a ridge of 1 gives it one.
    /// - Throws: `notIdentified` where nothing can be fitted; `outOfRange` for too many terms.
    init(
        _ times: SurvivalTimes, _ columns: [PredictorTable.Column], isEvent: [Bool],
        threadCount: Int
    ) throws(ModelError) {
        var covariates: [CovariateColumn] = []
        var references: [String: String] = [:]
        for column in columns {
            let (terms, reference) = Self.terms(column, isEvent)
            covariates += terms
            if let reference { references[column.name] = reference }
        }
        guard covariates.count <= Self.termLimit else {
            throw .outOfRange(
                what: "terms of the Cox regression", actual: Double(covariates.count),
                allowed: "up to \(Self.termLimit); leave out columns with many categories")
        }
        var parameters = CoxRegression.Parameters()
        parameters.ties = .efron
        parameters.unusableColumns = .leaveOut
        parameters.threadCount = threadCount
        var ridgeReason: String?
        let ranked: RetentionFactors
        do throws(ModelError) {
            ranked = try RetentionFactors.rank(times, covariates, parameters)
        } catch {
            guard case .notIdentified(_, let reason) = error else { throw error }
            ridgeReason = reason
            parameters.ridge = 1
            ranked = try RetentionFactors.rank(times, covariates, parameters)
        }
        let regression = ranked.regression
        self.init(
            factors: ranked.factors.map { factor in
                Factor(
                    column: factor.name, likelihoodRatioDrop: factor.likelihoodRatioDrop,
                    adjustedPValue: factor.adjustedPValue,
                    rows: factor.columns.map { column in
                        let isCategory = column.name.hasPrefix(factor.name + " = ")
                        return Row(
                            term: column.name,
                            reference: isCategory ? references[factor.name] : nil,
                            hazardRatio: column.hazardRatio, lower: column.hazardRatioLower,
                            upper: column.hazardRatioUpper,
                            hazardRatioPerDeviation: column.hazardRatioPerDeviation,
                            pValue: column.pValue)
                    })
            },
            omitted: regression.omittedColumns, concordance: regression.concordance,
            ridge: regression.ridge, ridgeReason: ridgeReason,
            logLikelihood: regression.logLikelihood,
            nullLogLikelihood: regression.nullLogLikelihood)
    }

    /// The covariates of a column, and the category that the others are compared with.
    private static func terms(
        _ column: PredictorTable.Column, _ isEvent: [Bool]
    ) -> ([CovariateColumn], reference: String?) {
        func indicator(_ name: String, _ holds: (Int) -> Bool) -> CovariateColumn {
            CovariateColumn(
                name: name, values: isEvent.indices.map { holds($0) ? 1 : 0 },
                factor: column.name)
        }
        switch column.values {
        case .numbers(let values):
            let known = values.filter { !$0.isNaN }
            let mean = known.reduce(0) { $0 + Double($1) } / Double(max(1, known.count))
            var terms = [
                CovariateColumn(
                    name: column.name, values: values.map { $0.isNaN ? mean : Double($0) })
            ]
            let missing = values.indices.filter { values[$0].isNaN }
            if missing.count(where: { isEvent[$0] }) >= leastEvents {
                terms.append(indicator("\(column.name) is missing") { values[$0].isNaN })
            }
            return (terms, nil)
        case .categories(let codes, let names):
            let reference = column.mostFrequentCategory
            var events = [Int](repeating: 0, count: names.count + 1)
            for row in codes.indices where isEvent[row] {
                events[codes[row] < 0 ? names.count : Int(codes[row])] += 1
            }
            var terms: [CovariateColumn] = []
            var rare: Set<Int32> = []
            for (code, name) in names.enumerated() where name != reference {
                if events[code] >= leastEvents {
                    terms.append(
                        indicator("\(column.name) = \(name)") { codes[$0] == Int32(code) })
                } else {
                    rare.insert(Int32(code))
                }
            }
            // With fewer events, even together, they stay with the reference.
            if rare.reduce(0, { $0 + events[Int($1)] }) >= leastEvents {
                terms.append(
                    indicator("\(column.name) = (others)") { rare.contains(codes[$0]) })
            }
            if events[names.count] >= leastEvents {
                terms.append(indicator("\(column.name) is missing") { codes[$0] < 0 })
            }
            return (terms, reference)
        }
    }
}
