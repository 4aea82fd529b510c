package import ColumnStore
package import Features
package import Ingest
package import Models

/// What can go wrong in module Engine. Cases are sorted; texts say what, where and what to do.
package enum EngineError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A file with these very bytes was ingested before.
    case alreadyIngested(path: String, earlier: String)
    /// A segmentation is made of others that are not there, or not in the version that it was trained
    /// with.
    case basesMissing(model: String, bases: [String])
    /// A model file does not hold what its training wrote.
    case damagedModel(path: String, reason: String)
    /// A file of a published snapshot does not hold what was written.
    case damagedSnapshot(path: String, byteOffset: Int, reason: String)
    case features(FeatureError)
    case ingest(IngestError)
    /// Two sources whose ids of one thing are of different kinds.
    case idKindMismatch(table: String)
    /// Arrays handed to the snapshot writer do not fit together.
    case invalidSnapshotContents(reason: String)
    /// More live purchases wait to be written than memory is set aside for.
    case liveBusy(waitingByteCount: Int, limit: Int)
    /// Live purchases of before the plan's ids were of another kind.
    case liveIDKindChanged(holdsTexts: Bool)
    /// An idempotency key that has come before, with another request.
    case liveKeyReused
    case model(name: String, ModelError)
    /// `score --as-of` a day that the model's training reaches beyond.
    case modelFromTheFuture(name: String, trainedAsOf: String, asOf: String)
    /// `score` without a trained model of that name.
    case modelMissing(name: String)
    /// A command that asks one model of all customers, on one whose parameters attributes shift.
    case needsNoCovariates(command: String, covariates: [String])
    /// The ledger of a segmentation does not hold what was asked for.
    case noLedger(segmentation: String, reason: String)
    /// A plan without purchases on a workspace without customers.
    case noCustomers(workspace: String)
    /// A segmentation none of whose features this data has.
    case noFeatures(model: String, features: [String])
    /// A segmentation reads predictions that the latest lifetime model does not make.
    case noPredictions(model: String, features: [String])
    /// Affinity on purchase lines without products.
    case noProducts
    /// A back-test that reaches beyond the last purchase, or has nothing before its as-of day.
    case noHoldout(reason: String)
    /// A command that needs purchases, on a workspace without any.
    case noPurchases(workspace: String)
    /// `publish` without a scored snapshot, or a look-up before the first `publish`.
    case noSnapshot(workspace: String, what: String)
    case notAWorkspace(path: String)
    /// A segmentation that is made of others.
    case notExplained(segmentation: String, bases: [String])
    /// A fit with a number that is infinite or none.
    case notFinite(model: String)
    /// `train` on data that gives none of the plan's models; why, by name.
    case nothingFitted(reasons: [String: String])
    case plan(PlanError)
    /// The folder of that generation is there already.
    case snapshotExists(path: String)
    /// A file of customers or products that the plan does not say how to read.
    case sourceMissing(kind: String, planPath: String)
    case store(StoreError)
    /// An id that no purchase line has, or a customer without an order.
    case unknownCustomer(id: String, reason: String)
    /// A number that no record of the log has that erases customers.
    case unknownErasure(sequence: Int, reason: String)
    /// A model that the plan does not name.
    case unknownModel(name: String, known: [String])
    /// A name that is no attribute of the customers, or one of a kind that cannot be used so.
    case unusableAttribute(name: String, reason: String)
    /// A table that models cannot be fitted to as it is; `line` and `column` where one is to blame.
    case unusableTable(path: String, line: Int?, column: String?, reason: String)
    /// `init` on a folder that is a workspace already, or holds other files.
    case workspaceExists(path: String, reason: String)

    package var description: String {
        switch self {
        case .alreadyIngested(let path, let earlier):
            """
            \(path): a file with the same content was ingested before, as \(earlier); \
            give --again to add its lines a second time
            """
        case .basesMissing(let model, let bases):
            """
            \(model): it is made of \(bases.joined(separator: ", ")), which is not trained, or was \
            trained anew since: train both
            """
        case .damagedModel(let path, let reason):
            "\(path): \(reason); the model is damaged: train it again"
        case .damagedSnapshot(let path, let byteOffset, let reason):
            "\(path): byte \(byteOffset): \(reason); the snapshot is damaged: publish a new one"
        case .features(let error):
            error.description
        case .ingest(let error):
            error.description
        case .idKindMismatch(let table):
            """
            the \(table) ids of this file and of those ingested before are not of one kind: \
            keep one `type`, integer or text, in the plan
            """
        case .invalidSnapshotContents(let reason):
            "snapshot not written: \(reason)"
        case .liveBusy(let waiting, let limit):
            """
            \(waiting) bytes of live purchases wait to be written, at most \(limit) may: send them \
            again later
            """
        case .liveIDKindChanged(let holdsTexts):
            """
            the live purchases that wait have \(holdsTexts ? "texts" : "integers") as customer ids, the \
            plan has \(holdsTexts ? "integers" : "texts"): ids stay of one kind in a workspace. Put \
            `type: \(holdsTexts ? "text" : "integer")` back into its patron.yaml and ingest again; \
            for ids of the other kind make a new workspace
            """
        case .liveKeyReused:
            "the key is that of another batch or erasure: give each request a new key"
        case .model(let name, let error):
            "\(name): \(error)"
        case .modelFromTheFuture(let name, let trainedAsOf, let asOf):
            """
            \(name) was trained as of \(trainedAsOf), which scores as of \(asOf) may not know: \
            train with --as-of \(asOf) first
            """
        case .modelMissing(let name):
            "there is no trained model \(name): run `patron train` first"
        case .needsNoCovariates(let command, let covariates):
            """
            \(command): works with one model for all customers, but the lifetime model has the \
            covariates \(covariates.joined(separator: ", ")): take lifetime.covariates out of the \
            plan and train again, in a workspace of its own to keep this model
            """
        case .noCustomers(let workspace):
            "\(workspace): holds no customers: run `patron ingest` first"
        case .noFeatures(let model, let features):
            """
            \(model): this data has none of the features \(features.joined(separator: ", ")): \
            map their columns in the plan or name other features
            """
        case .notExplained(let segmentation, let bases):
            """
            \(segmentation): is made of other segmentations; explain \
            \(bases.joined(separator: ", ")) instead
            """
        case .noLedger(let segmentation, let reason):
            "ledger of \(segmentation): \(reason)"
        case .noPredictions(let model, let features):
            """
            \(model): there is no \(features.joined(separator: ", ")) to read: train lifetime first; \
            if it is trained, `patron models` says why it has no order values
            """
        case .noHoldout(let reason):
            reason
        case .noProducts:
            "affinity: the purchase lines name no products: map `product` in the plan"
        case .noPurchases(let workspace):
            "\(workspace): holds no purchase lines: run `patron ingest` first"
        case .noSnapshot(let workspace, let what):
            "\(workspace): \(what)"
        case .notAWorkspace(let path):
            "\(path): is not a workspace: `patron init \(path) --plan patron.yaml` makes one"
        case .notFinite(let model):
            "\(model): the fit is not finite: look for extreme amounts in the data"
        case .nothingFitted(let reasons):
            "no model can be fitted on this data\n"
                + reasons.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
                .joined(separator: "\n")
        case .plan(let error):
            error.description
        case .snapshotExists(let path):
            "\(path) is there already; publish under the next generation number"
        case .sourceMissing(let kind, let planPath):
            "\(planPath): has no sources.\(kind): say there how the file's columns are to be read"
        case .store(let error):
            error.description
        case .unknownCustomer(let id, let reason):
            "customer \(id): \(reason)"
        case .unknownErasure(let sequence, let reason):
            "record \(sequence) of the log: \(reason)"
        case .unknownModel(let name, let known):
            "the plan has no model \(name); it has \(known.joined(separator: ", "))"
        case .unusableAttribute(let name, let reason):
            "\(name): \(reason)"
        case .unusableTable(let path, let line, let column, let reason):
            path + (line.map { ", line \($0)" } ?? "") + (column.map { ", column `\($0)`" } ?? "")
                + ": \(reason)"
        case .workspaceExists(let path, let reason):
            "\(path): \(reason): choose a new or empty folder"
        }
    }
}

extension EngineError {
    /// Whether the data, not a file or a setting, is why a model cannot be fitted.
    var isAboutTheData: Bool {
        switch self {
        case .basesMissing, .model, .noFeatures, .noPredictions, .noProducts, .notFinite: true
        default: false
        }
    }

    /// The description without the model's name in front, for lists that name it themselves.
    func reason(of model: String) -> String {
        let prefix = "\(model): "
        let text = description
        return text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text
    }
}
