import ColumnStore
import Engine
import Foundation
import Ingest
import Lab
import Load
import Models
import Numerical
import PatronClient
import Server
import Synthetic

/// An error of a lower module as the command line reports it.
struct Failure {
    /// What, where, and what to do.
    let text: String
    /// 1 failed, 65 bad input data, 69 unavailable, 74 input/output.
    let code: Int32

    /// Nil for errors of the argument parser, which it reports itself.
    init?(_ error: any Error) {
        switch error {
        case let error as EngineError:
            self.init(error.description, Self.code(error))
        case let error as ServerError:
            self.init(error.description, Self.code(error))
        case let error as PatronError:
            self.init(error.description, Self.code(error))
        case let error as StoreError:
            self.init(error.description, Self.code(error))
        case let error as SyntheticError:
            self.init(error.description, Self.code(error))
        case let error as LabError:
            self.init(error.description, Self.code(error))
        case let error as LoadError:
            self.init(error.description, Self.code(error))
        case let error as ISAError:
            self.init("\(ISALevel.environmentName): \(error)", Self.usage)
        case let error as CommandError:
            self.init(error.text, error.code)
        default:
            return nil
        }
    }

    private init(_ text: String, _ code: Int32) {
        self.text = text
        self.code = code
    }

    private static let failed: Int32 = 1
    private static let usage: Int32 = 64
    static let badData: Int32 = 65
    private static let unavailable: Int32 = 69
    private static let inputOutput: Int32 = 74

    private static func code(_ error: EngineError) -> Int32 {
        switch error {
        case .ingest(.system): inputOutput
        case .ingest(.rejectsFile(let error)): code(error)
        case .store(let error): code(error)
        case .liveBusy, .noSnapshot: unavailable
        case .unusableAttribute: usage
        case .invalidSnapshotContents, .modelFromTheFuture, .modelMissing, .needsNoCovariates,
            .noLedger, .notExplained, .snapshotExists, .unknownErasure, .unknownModel,
            .workspaceExists,
            .notAWorkspace,
            .sourceMissing:
            failed
        case .alreadyIngested, .basesMissing, .damagedModel, .damagedSnapshot, .features,
            .idKindMismatch,
            .ingest, .liveIDKindChanged, .liveKeyReused, .model, .noCustomers, .noFeatures,
            .noHoldout, .noProducts,
            .noPredictions,
            .noPurchases,
            .notFinite,
            .nothingFitted, .plan, .unknownCustomer, .unusableTable:
            badData
        }
    }

    private static func code(_ error: StoreError) -> Int32 {
        switch error {
        case .locked: unavailable
        case .system: inputOutput
        case .checksumMismatch, .corrupt, .limitExceeded, .missingPart, .notAStoreFile,
            .truncated, .unknownField, .unsupportedVersion:
            badData
        case .invalidInput: failed
        case .notReplaceable: usage
        }
    }

    private static func code(_ error: LabError) -> Int32 {
        switch error {
        case .badArray, .badValue, .memory, .mismatch, .model, .roofline: badData
        case .network: unavailable
        case .option: usage
        case .store(let error): code(error)
        }
    }

    private static func code(_ error: LoadError) -> Int32 {
        switch error {
        case .cannotConnect, .noAnswer, .notSecured, .refused, .unknownHost, .wrongProtocol:
            unavailable
        case .idFile: badData
        case .malformedAnswer, .system: failed
        case .option: usage
        }
    }

    private static func code(_ error: ServerError) -> Int32 {
        switch error {
        case .addressInUse, .bindFailed, .nothingPublished: unavailable
        case .insecureAdminBind, .insecureBind: failed
        case .settings, .tls, .tokens: badData
        case .unreadable: inputOutput
        case .live(let error), .snapshot(let error): code(error)
        }
    }

    private static func code(_ error: PatronError) -> Int32 {
        switch error {
        case .cannotConnect, .connectionClosed, .deadlinePassed, .goingAway,
            .notSecured:
            unavailable
        case .invalidOption: usage
        // invalidRule: what the person wrote.
        case .refused(let refusal) where refusal.status == 119: usage
        case .cancelled, .clientClosed, .malformedAnswer, .mixedIDs, .refused,
            .requestTooLarge:
            failed
        }
    }

    private static func code(_ error: SyntheticError) -> Int32 {
        switch error {
        case .parameter: usage
        default: inputOutput
        }
    }
}

/// What a command itself finds wrong.
struct CommandError: Error {
    let text: String
    let code: Int32
}
