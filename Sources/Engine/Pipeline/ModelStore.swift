import ByteCoding
import ColumnStore
package import Features
import Foundation
package import Models

/// What a model version was made from and how its fit went: stored in the model file, shown by
/// `patron models`.
package struct ModelCard: Codable, Sendable, Equatable {
    /// `lifetime`, `affinity`, `segmentation.value` …
    package var name: String
    /// Counts up from 1 with every training of this name.
    package var version: Int
    /// The fitted mathematics: `bgnbd+gammagamma`, `kmeans`, `als`.
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
        let present: [Float]
        if let valid {
            present = zip(values, valid).lazy.filter(\.1).map(\.0)
        } else {
            present = values
        }
        missingCount = values.count - present.count
        let sorted = present.sorted()
        var edges: [Float] = []
        for decile in 1..<10 where !sorted.isEmpty {
            let edge = sorted[min(sorted.count - 1, sorted.count * decile / 10)]
            if edges.last != edge { edges.append(edge) }
        }
        self.edges = edges
        var counts = [Int](repeating: 0, count: edges.count + 1)
        for value in sorted { counts[edges.firstIndex { value <= $0 } ?? edges.count] += 1 }
        self.counts = counts
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
            try writer.write(to: path)
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
