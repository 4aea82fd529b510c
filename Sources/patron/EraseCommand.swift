import ArgumentParser
import ByteCoding
import ColumnStore
import Engine
import Foundation
import PatronClient

struct EraseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase",
        abstract: "Erase customers for good, and say how far that is.",
        discussion: """
            With --connect a server that was started with --append shows them no more when the \
            command ends; it wants a token of the scope erase, if it wants tokens. With a workspace, \
            while no server takes purchases, they are entered in its log. Either way the next \
            `patron ingest` takes them out of all files (`--live` does without new ones); then train, \
            score, publish and prune. What the receipt's number is for: `patron erase WORKSPACE \
            --receipt NUMBER` says what is left to do. Who buys again afterwards is a new customer. \
            Files outside the workspace, such as exports, are yours to clean.
            """)

    @Argument(help: "The workspace, where no server has it or for --receipt.")
    var workspace: String?
    @Option(help: "The server, HOST:PORT.")
    var connect: String?
    @Option(name: .customLong("customer"), parsing: .upToNextOption, help: "Ids of customers.")
    var customers: [String] = []
    @Option(name: .customLong("ids"), help: "A file of ids, one a line.")
    var file: String?
    @Option(help: "Say how far the erasure with this number is.")
    var receipt: Int?
    @OptionGroup var security: SecurityOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (connect == nil) != (workspace == nil) else {
            throw ValidationError("give either --connect HOST:PORT or a workspace")
        }
        if let connect { _ = try Endpoint(parsing: connect) }
        guard connect != nil || !security.isUsed else {
            throw ValidationError("--tls, --token and --token-file go with --connect")
        }
        if let receipt {
            guard connect == nil, receipt >= 0, customers.isEmpty, file == nil else {
                throw ValidationError("--receipt NUMBER goes with a workspace, and nothing else")
            }
        } else if customers.isEmpty, file == nil {
            throw ValidationError("give --customer ID or --ids FILE")
        }
    }

    /// A receipt as printed.
    struct Answer: Encodable {
        struct Customer: Encodable {
            var id: String
            var inSnapshot: Bool
            var inLivePurchases: Bool
        }
        var record: Int
        /// UTC, as 2027-01-31T12:00:00Z.
        var time: String
        var isRepeat: Bool
        /// That look-ups are answered from; nil without a server.
        var generation: UInt64?
        var customers: [Customer]

        var text: String {
            let known = customers.filter { $0.inSnapshot || $0.inLivePurchases }
            func count(_ isIn: (Customer) -> Bool) -> Int { customers.count(where: isIn) }
            return "record \(record), \(time): \(customers.count) customers erased, "
                + "\(count(\.inSnapshot)) in the generation that is served, "
                + "\(count(\.inLivePurchases)) in live purchases, "
                + "\(customers.count - known.count) not known there"
        }
    }

    /// Ids of one request.
    private static let requestCount = 65_536

    func run() async throws {
        if let receipt, let workspace {
            let progress = try Workspace(folder: workspace, access: .reading)
                .erasureProgress(record: receipt)
            try output.print(progress) { $0.text }
            return
        }
        var seen: Set<EntityID> = []
        let ids = (customers + (try file.map(Self.lines) ?? [])).filter {
            seen.insert(.text($0)).inserted
        }
        guard !ids.isEmpty else {
            throw CommandError(text: "\(file ?? ""): has no ids", code: 65)
        }
        struct Answers: Encodable {
            var receipts: [Answer]
        }
        let answers =
            if let connect { try await ask(connect, ids) } else { try enter(workspace ?? "", ids) }
        try output.print(Answers(receipts: answers)) { answers in
            answers.receipts.map(\.text).joined(separator: "\n")
        }
    }

    private static func lines(_ path: String) throws -> [String] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandError(text: "\(path): cannot be read", code: 74)
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw CommandError(text: "\(path): is not UTF-8", code: 65)
        }
        return text.split(whereSeparator: \.isNewline).map(String.init)
    }

    private func ask(_ connect: String, _ ids: [String]) async throws -> [Answer] {
        let endpoint = try Endpoint(parsing: connect)
        let connection = try await PatronConnection.connect(
            host: endpoint.host, port: endpoint.port, tls: security.clientTLS,
            token: try security.credential(), clientName: "patron command line")
        do {
            let answers = try await ask(connection, ids)
            await connection.close()
            return answers
        } catch {
            await connection.close()
            throw error
        }
    }

    private func ask(_ connection: PatronConnection, _ ids: [String]) async throws -> [Answer] {
        let customers = try await wireIDs(connection, ids)
        let most = min(Self.requestCount, connection.maximumLookupIDs)
        var answers: [Answer] = []
        for start in stride(from: 0, to: ids.count, by: most) {
            let rows = start..<min(ids.count, start + most)
            let receipt = try await connection.erase(Array(customers[rows]))
            answers.append(
                Answer(
                    record: Int(clamping: receipt.record), time: Self.text(ofTime: receipt.time),
                    isRepeat: receipt.isRepeat, generation: receipt.snapshot.generation,
                    customers: rows.map { row in
                        let found = receipt.found[row - start]
                        return Answer.Customer(
                            id: ids[row], inSnapshot: found.inSnapshot,
                            inLivePurchases: found.inLivePurchases)
                    }))
        }
        return answers
    }

    /// Of the kind that the server has. A token that may erase need not be one that may read: the kind is
    /// then told by a refusal.
    private func wireIDs(
        _ connection: PatronConnection, _ ids: [String]
    ) async throws -> [PatronID] {
        do {
            let kind = try await connection.describe().customerIDKind
            return try ids.map { try identifier($0, kind, "customer") }
        } catch PatronError.refused(let refusal) where refusal.name == "scopeMissing" {
            // Integers, if all are.
            let integers = ids.compactMap { Int64($0) }
            return integers.count == ids.count
                ? integers.map { .integer($0) } : ids.map { .text($0) }
        }
    }

    private func enter(_ folder: String, _ ids: [String]) throws -> [Answer] {
        let areTexts = try Workspace(folder: folder, access: .reading).customerIDsAreTexts()
        let column: IDColumn =
            areTexts
            ? .texts(TextArray(ids))
            : .integers(
                try ids.map { text in
                    guard let value = Int64(text) else {
                        throw CommandError(
                            text: "customer ids are whole numbers here, '\(text)' is not one",
                            code: 64)
                    }
                    return value
                })
        var answers: [Answer] = []
        for start in stride(from: 0, to: ids.count, by: Self.requestCount) {
            let rows = start..<min(ids.count, start + Self.requestCount)
            let result = try Self.erase(column.slice(rows), in: folder)
            let receipt = result.receipt
            answers.append(
                Answer(
                    record: receipt.sequence, time: Self.text(ofTime: receipt.erasedAt ?? 0),
                    isRepeat: receipt.isRepeat, generation: nil,
                    customers: rows.map { row in
                        let found = result.found[row - start]
                        return Answer.Customer(
                            id: ids[row], inSnapshot: found.snapshot, inLivePurchases: found.live)
                    }))
        }
        return answers
    }

    private static func erase(_ ids: IDColumn, in folder: String) throws -> ErasureReceipt {
        let result = Result { () throws(EngineError) in
            try Workspace.erase(
                ids, key: LogKey(first: .random(in: 1 ... .max), second: .random(in: 1 ... .max)),
                time: Int64(Date().timeIntervalSince1970.rounded(.down)), in: folder)
        }
        guard case .failure(.store(.locked(let path, let process))) = result else {
            return try result.get()
        }
        let holder = process.map { " (process \($0))" } ?? ""
        throw CommandError(
            text: "\(path): a server takes purchases of this workspace\(holder): ask it, with "
                + "patron erase --connect HOST:PORT",
            code: 69)
    }

    fileprivate static func text(ofTime seconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }
}

extension ErasureProgress {
    fileprivate var text: String {
        var lines = [
            "record \(record)"
                + (time.map { ", \(EraseCommand.text(ofTime: $0))" } ?? "")
                + (customerCount.map { ", \($0) customers" } ?? "") + ": "
                + (step == .complete ? "complete" : "waiting for \(step.rawValue)")
        ]
        lines += remains.map { "  \($0)" }
        return lines.joined(separator: "\n")
    }
}
