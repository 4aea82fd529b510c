import ByteCoding
import ColumnStore
package import Features
import Foundation
package import Models

/// What a model version was made from and how its fit went: stored in the model file, shown by
/// `patron models`.
package struct ModelCard: Codable, Sendable, Equatable {
    /// `lifetime`, `churn`, `affinity`, `segmentation.value` …
    package var name: String
    /// Counts up from 1 with every training of this name.
    package var version: Int
    /// The fitted mathematics: `bgnbd+gammagamma`, `bgnbd+covariates+gammagamma`, `kmeans`,
    /// `kprototypes`, `layers`, `join`, `rfm`, `lifecycle`, `quadrants`, `als`, `hybrid`, `popular`,
    /// `repeatPurchase`, `trees`, `logistic`.
    package var algorithm: String
    /// The last day whose purchases the fit saw, `yyyy-MM-dd`.
    package var asOf: String
    /// Hash of the plan's canonical text.
    package var planHash: String
    package var seed: UInt64
    package var currency: String
    package var convention: OrderConvention
    /// The convention in words.
    package var conventionText: String
    package var data: DataRange
    /// Named numbers of the fit: inertia, log-likelihood, gradient norm, loss …
    package var diagnostics: [String: Double]
    /// Distribution of each input at training, against which later inputs are compared.
    package var inputs: [ReferenceHistogram]
    /// What a reader should know, such as a fit that did not converge.
    package var warnings: [String]
    /// Of a segmentation whose number of segments was left to the data.
    package var clusterCountChoice: ClusterCountChoice?
    /// Of a learned churn model.
    package var churn: ChurnCheck?
    /// Of a lifetime model with covariates.
    package var covariates: CovariateReport?
    /// Of a segmentation that is not the first of its name.
    package var refit: SegmentRefit?
    /// Of a segmentation by clusters: where they lie beside each other, for a picture.
    package var map: SegmentMap?

    /// How a learned churn model did on customers and days that it has not seen.
    package struct ChurnCheck: Codable, Sendable, Equatable {
        /// It learned from what was known by this day, `yyyy-MM-dd`.
        package var fitDay: String
        /// And was measured on what was known by this one.
        package var checkDay: String
        /// Customers without an order for so many days have left.
        package var horizonDays: Int
        package var summary: ProbabilitySummary
    }

    /// How each number of segments did, ascending.
    package struct ClusterCountChoice: Codable, Sendable, Equatable {
        package var criterion: ClusterCountSearch.Criterion
        /// Customers that the silhouettes are of.
        package var sampleRowCount: Int
        package var trials: [ClusterCountSearch.Trial]
    }

    package struct DataRange: Codable, Sendable, Equatable {
        package var customerCount: Int
        package var lineCount: Int
        /// UTC seconds since 1970 of the first and last line that the fit saw.
        package var firstTime: Int64
        package var lastTime: Int64
    }
}

/// Counts of one input's values between its deciles at training. Ties fall into the lower bin, so
/// equal edges leave the bins between them empty.
package struct ReferenceHistogram: Codable, Sendable, Equatable {
    package var name: String
    /// Ascending inner edges, at most 9; bin `i` holds values `<= edges[i]` and above the edge
    /// before, the last bin all that is above the last edge.
    package var edges: [Float]
    /// `[edges.count + 1]`.
    package var counts: [Int]
    package var missingCount: Int

    /// - Parameters:
    ///   - values: the input, one a customer; finite where valid.
    ///   - valid: nil means all.
    package init(name: String, values: [Float], valid: [Bool]?) {
        self.name = name
        var missingCount = 0
        var ordered = FloatRanks()
        for row in values.indices {
            if valid?[row] ?? true { ordered.count(values[row]) } else { missingCount += 1 }
        }
        self.missingCount = missingCount
        let count = values.count - missingCount
        let ranks = count == 0 ? [] : (1..<10).map { min(count - 1, count * $0 / 10) }
        ordered.select(ranks)
        for row in values.indices where valid?[row] ?? true { ordered.refine(values[row]) }
        var edges: [Float] = []
        for edge in ordered.values(ranks) where edges.last != edge { edges.append(edge) }
        self.edges = edges
        var counts = [Int](repeating: 0, count: edges.count + 1)
        for row in values.indices where valid?[row] ?? true {
            counts[edges.firstIndex { values[row] <= $0 } ?? edges.count] += 1
        }
        self.counts = counts
    }
}

/// Finds the values of given ranks among many in three passes, without sorting or copying them: the
/// high halves of the values' bits are counted first, then the low halves of those that share the
/// high half of a wanted one.
private struct FloatRanks {
    private var highCounts = [Int](repeating: 0, count: 1 << 16)
    /// Where the counts of a selected high half are; -1 for others.
    private var slots = [Int](repeating: -1, count: 1 << 16)
    private var lowCounts: [Int] = []

    /// Bits that ascend with the values; 0 and -0 are one.
    private static func key(_ value: Float) -> UInt32 {
        let bits = (value + 0).bitPattern
        return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
    }

    private static func value(_ key: UInt32) -> Float {
        Float(bitPattern: key >> 31 == 1 ? key & 0x7FFF_FFFF : ~key)
    }

    mutating func count(_ value: Float) { highCounts[Int(Self.key(value) >> 16)] += 1 }

    /// The high half of the value of a rank, and the rank among those that share it.
    private func place(_ rank: Int) -> (high: Int, rank: Int) {
        var rank = rank
        for high in highCounts.indices {
            if rank < highCounts[high] { return (high, rank) }
            rank -= highCounts[high]
        }
        preconditionFailure("a rank below the count")
    }

    mutating func select(_ ranks: [Int]) {
        for rank in ranks {
            let high = place(rank).high
            guard slots[high] < 0 else { continue }
            slots[high] = lowCounts.count
            lowCounts += repeatElement(0, count: 1 << 16)
        }
    }

    mutating func refine(_ value: Float) {
        let key = Self.key(value)
        let slot = slots[Int(key >> 16)]
        if slot >= 0 { lowCounts[slot + Int(key & 0xFFFF)] += 1 }
    }

    func values(_ ranks: [Int]) -> [Float] {
        ranks.map { rank in
            var (high, rest) = place(rank)
            let slot = slots[high]
            precondition(slot >= 0, "a rank that was selected")
            var low = 0
            while rest >= lowCounts[slot + low] {
                rest -= lowCounts[slot + low]
                low += 1
            }
            high = high << 16 | low
            return Self.value(UInt32(high))
        }
    }
}

/// Model files: an array file whose card is `{"card": …, "model": …}` and whose arrays are the
/// model's large parts.
enum ModelStore {
    private struct Contents<Model: Codable>: Codable {
        var card: ModelCard
        var model: Model
    }

    typealias WrittenFile = (byteCount: Int, checksum: UInt32)

    /// - Returns: of a provisional file: a manifest is to name it.
    static func write<Model: Codable>(
        _ model: Model, card: ModelCard, to path: String,
        arrays: (inout ArrayFileWriter) -> Void = { _ in }
    ) throws(EngineError) -> WrittenFile {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes: [UInt8]
        do {
            bytes = [UInt8](try encoder.encode(Contents(card: card, model: model)))
        } catch {
            // Only a number that is not finite cannot be encoded: a fit that must not be kept.
            throw .notFinite(model: card.name)
        }
        var writer = ArrayFileWriter(kind: "model", card: bytes)
        arrays(&writer)
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            try writer.write(to: path, isProvisional: true)
        }
    }

    static func read<Model: Codable>(
        _ type: Model.Type, from path: String
    ) throws(EngineError) -> (card: ModelCard, model: Model, file: ArrayFile) {
        let file = try open(path)
        do {
            let contents = try JSONDecoder().decode(Contents<Model>.self, from: Data(file.card))
            return (contents.card, contents.model, file)
        } catch {
            throw .damagedModel(path: path, reason: "its card is unreadable (\(error))")
        }
    }

    /// The card alone, whatever the model.
    static func readCard(from path: String) throws(EngineError) -> ModelCard {
        struct CardOnly: Decodable { var card: ModelCard }
        let file = try open(path)
        do {
            return try JSONDecoder().decode(CardOnly.self, from: Data(file.card)).card
        } catch {
            throw .damagedModel(path: path, reason: "its card is unreadable (\(error))")
        }
    }

    private static func open(_ path: String) throws(EngineError) -> ArrayFile {
        let file = try mapErrors(EngineError.store) { () throws(StoreError) in
            try ArrayFile(path: path)
        }
        guard file.kind == "model" else {
            throw .damagedModel(path: path, reason: "it is a \(file.kind) file, not a model")
        }
        return file
    }
}

/// Runs `body` and wraps the error of a lower module in this module's case for it.
func mapErrors<Result, Lower: Error>(
    _ wrap: (Lower) -> EngineError, _ body: () throws(Lower) -> Result
) throws(EngineError) -> Result {
    do throws(Lower) {
        return try body()
    } catch {
        throw wrap(error)
    }
}

/// The same for the errors of a model, which get its name.
func modelErrors<Result>(
    _ name: String, _ body: () throws(ModelError) -> Result
) throws(EngineError) -> Result {
    do throws(ModelError) {
        return try body()
    } catch {
        throw .model(name: name, error)
    }
}

extension ModelReference {
    init(_ model: Manifest.Model) {
        self.init(name: model.name, version: model.version, checksum: model.checksum)
    }
}
