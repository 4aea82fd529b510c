import ArgumentParser
import ByteCoding
import Engine
import Foundation
import Ingest
import PatronClient
import Units

struct AppendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "append",
        abstract: "Send purchase lines of a file to a running server.",
        discussion: """
            The server was started with --append. When the command ends, the lines are durable and \
            look-ups count them; the next `patron ingest` of the workspace takes them into a segment. \
            A file that was sent in part may be sent again: what is there already is left out, by \
            the file's contents and the place in it. Lines that cannot be read are left out and \
            counted, as are those that the server refuses.
            """)

    @Argument(help: "Delimited text, as the plan's sources.purchases describes it.")
    var file: String
    @Option(help: "The server, HOST:PORT.")
    var connect: String
    @Option(help: "The plan that says what the columns of the file are.")
    var plan: String
    @Option(help: "Lines of a batch.")
    var batch = 10_000
    @OptionGroup var security: SecurityOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        _ = try Endpoint(parsing: connect)
        guard (1...65_536).contains(batch) else {
            throw ValidationError("--batch is between 1 and 65536, not \(batch)")
        }
    }

    struct Answer: Encodable {
        var lines: Int
        /// That could not be read, and that the server did not take.
        var unreadable: Int
        var refused = 0
        var appended = 0
        /// That were there already.
        var known = 0
        var generation: UInt64 = 0
    }

    private func purchases(
        _ mapping: PurchaseMapping, _ clock: LocalClock
    ) throws(EngineError) -> (lines: PurchaseLines, report: IngestReport) {
        do throws(IngestError) {
            return try readPurchases(
                path: file, mapping: mapping, clock: clock,
                threadCount: ProcessInfo.processInfo.activeProcessorCount)
        } catch {
            throw .ingest(error)
        }
    }

    func run() async throws {
        let plan = try Workspace.readPlan(plan)
        guard let mapping = plan.sources.purchases?.mapping else {
            throw EngineError.ingest(
                .unusableBatch(reason: "\(self.plan) has no sources.purchases"))
        }
        let (lines, report) = try purchases(mapping, plan.clock)
        let endpoint = try Endpoint(parsing: connect)
        let connection = try await PatronConnection.connect(
            host: endpoint.host, port: endpoint.port, tls: security.clientTLS,
            token: try security.credential(), clientName: "patron command line")
        var answer = Answer(
            lines: report.lineCount, unreadable: report.lineCount - report.acceptedCount)
        do {
            var start = 0
            while start < lines.count {
                let end = min(lines.count, start + batch)
                let purchases = Purchases(
                    lines.gather(Array(start..<end)), currency: plan.currency)
                let key = AppendKey(
                    report.contentHash, UInt64(start) << 20 | UInt64(batch))
                let result = try await connection.append(purchases, key: key)
                if result.isRepeat {
                    answer.known += result.acceptedCount
                } else {
                    answer.appended += result.acceptedCount
                }
                answer.refused += result.refusedCount
                answer.generation = result.snapshot.generation
                start = end
            }
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
        try output.print(answer) { answer in
            "\(answer.appended) of \(answer.lines) lines appended, \(answer.known) were there already, "
                + "\(answer.refused) refused, \(answer.unreadable) unreadable"
        }
    }
}

extension Purchases {
    /// Lines as a file's are: amounts in ten-thousandths.
    fileprivate init(_ lines: PurchaseLines, currency: String) {
        self.init(
            customers: (0..<lines.count).map { row in
                switch lines.customerIDs[row] {
                case .integer(let value): .integer(value)
                case .text(let value): .text(value)
                }
            }, times: .instants(lines.times), amounts: lines.amounts, currency: currency)
        decimals = 4
        margins = lines.margins
        quantities = lines.quantities
        orders = lines.orderIDs.map(Self.texts)
        products = lines.products.map(Self.texts)
        categories = lines.categories.map(Self.texts)
        promotions = lines.promotions.map(Self.texts)
        channels = lines.channels.map(Self.texts)
    }

    private static func texts(_ text: CodedText) -> [String] {
        text.codes.map { $0 == CodedText.missing ? "" : text.values[Int($0)] }
    }
}
