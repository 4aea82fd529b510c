import ArgumentParser
import ColumnStore
import Foundation
import Numerical

@main
struct Patron: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patron",
        abstract: "A customer-value model server: segments, lifetime value, churn and affinity.",
        discussion: """
            A workspace is a folder: `patron init WS --plan patron.yaml` makes one, `patron run WS` \
            ingests, trains, scores and publishes, `patron serve WS` answers look-ups.

            Exit codes: 0 done, 1 failed, 64 wrong usage, 65 bad input data, 69 unavailable, \
            74 input/output error.
            """,
        version: "patron 0.1.0",
        groupedSubcommands: [
            CommandGroup(name: "Data", subcommands: [Generate.self, Init.self, PlanCommand.self]),
            CommandGroup(
                name: "Batch",
                subcommands: [
                    Ingest.self, Train.self, Score.self, Publish.self, Run.self, Models.self,
                    Prune.self, Evaluate.self,
                ]),
            CommandGroup(
                name: "Reports",
                subcommands: [
                    Value.self, Project.self, Cohorts.self, Survival.self, Tiers.self,
                    HistoryCommand.self, Contracts.self, Rules.self,
                ]),
            CommandGroup(
                name: "Serving",
                subcommands: [
                    Serve.self, Describe.self, Lookup.self, TopProducts.self, TopCustomers.self,
                    SimilarProducts.self, SimilarCustomers.self, Audience.self, WhatIf.self,
                    Segments.self, Explain.self, AppendCommand.self, EraseCommand.self,
                    TokenCommand.self, AdminCommand.self,
                ]),
            CommandGroup(name: "Verification", subcommands: [Verify.self, Selftest.self]),
            CommandGroup(
                name: "Measurement",
                subcommands: [LoadCommand.self, RooflineCommand.self, LabCommand.self]),
        ])

    static func main() async {
        // Past the file-size limit a write then fails like one on a full disk: with a message, and
        // without leftovers.
        signal(SIGXFSZ, SIG_IGN)
        do {
            // A level that this machine lacks is a wrong setting, not a reason to crash later.
            _ = try ISALevel.choose(forced: ISALevel.forcedByEnvironment)
            var command = try parseAsRoot()
            // A server answers signals itself, by finishing what it has begun.
            if !(command is Serve) {
                PendingFiles.removeWhenSignalled()
            }
            // These work through columns once and end; what reads the same ones again and again is
            // better off with the limits that the allocator learns.
            switch command {
            case is Evaluate, is Ingest, is Run, is Score, is Train: keepFreedMemory()
            case is Cohorts, is Project, is Rules, is Survival, is Tiers, is Value:
                keepFreedMemory()
            default: break
            }
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let code as ExitCode {
            exit(withError: code)
        } catch {
            if let failure = Failure(error) {
                Terminal.writeError("error: \(failure.text)")
                exit(withError: ExitCode(failure.code))
            }
            // Usage errors and requests for help: the argument parser knows how to say them.
            exit(withError: error)
        }
    }
}
