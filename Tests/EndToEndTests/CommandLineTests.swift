import Foundation
import TestSupport
import Testing

/// The built program, where it lies beside the tests: exit codes and what goes to which stream.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct CommandLineTests {
    @Test func everyCommandPrintsOneObject() throws {
        try withTemporaryFolder { folder in
            _ = try folder.write(
                """
                name,repeat_purchase_count,age_at_last_purchase_days,observed_age_days,\
                mean_order_value,revenue,gender
                new,0,0,20,,35.5,female
                loyal,12,300,310,41.25,520,
                """, as: "histories.csv")
            let commands = [
                "generate data --customers 300 --days 300 --products 40",
                "plan check data/patron.yaml", "init ws --plan data/patron.yaml", "ingest ws",
                "train ws", "score ws --out scores.csv", "publish ws", "run ws", "models ws",
                "prune ws", "evaluate ws --as-of 2024-06-01 --horizon 8w",
                "lookup 10000001 1 --workspace ws", "top-products 10000001 --workspace ws",
                "top-customers P000001 --workspace ws", "segments --workspace ws", "selftest",
                "segments ws", "segments ws value", "segments ws tier",
                "segments --workspace ws --segmentation value --profile",
                "explain ws --customer 10000001 --segmentation value",
                "history ws --customer 10000001 --step 26w", "publish ws --without-ledger",
                "what-if histories.csv --id name --workspace ws",
                "audience all --count --compress --workspace ws",
                "token shop --scopes read,score --expires 2030-01-31", "serve ws --check-config",
            ]
            for command in commands {
                let words = command.split(separator: " ").map(String.init) + ["--json"]
                let outcome = try Program.run(words, in: folder)
                #expect(outcome.code == 0, "\(command): \(outcome.errors)")
                #expect(outcome.output.split(separator: "\n").count == 1, "\(command)")
                let object = try? JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                #expect(object is [String: Any], "\(command): \(outcome.output)")
                #expect(outcome.errors.isEmpty, "\(command): \(outcome.errors)")
            }
        }
    }

    @Test func exitCodes() throws {
        try withTemporaryFolder { folder in
            try folder.write("customer,time,amount\na,2020-01-01,nan\n", as: "purchases.csv")
            try folder.write(barePlan, as: "patron.yaml")
            try folder.write("workspace: ws\nlimits: {idle: soon}\n", as: "serve.yaml")
            try folder.write(barePlan + "\nchurns: {}\n", as: "wrong.yaml")
            let cases: [(command: String, code: Int32, words: String)] = [
                ("--help", 0, ""),
                ("frobnicate", 64, "frobnicate"),
                ("train", 64, "workspace"),
                ("evaluate ws --horizon 4w", 64, "--as-of"),
                ("evaluate ws --as-of soon --horizon 4w", 64, "1997-09-30"),
                ("lookup 1", 64, "--workspace"),
                ("plan check wrong.yaml", 65, "wrong.yaml:9:1"),
                ("plan check none.yaml", 74, "none.yaml"),
                ("init ws --plan patron.yaml", 0, ""),
                ("init ws --plan patron.yaml", 1, "already"),
                ("run ws", 65, "unparseableNumber"),
                ("train ws", 65, "patron ingest"),
                ("publish ws", 69, "patron score"),
                ("segments --workspace ws", 69, "published"),
                ("segments ws", 69, "published"),
                ("segments ws value", 69, "patron publish"),
                ("segments ws value --migration", 1, "patron publish"),
                ("segments ws --migration", 64, "name of a segmentation"),
                ("segments ws value --from 2020-01-01", 64, "--migration"),
                ("segments ws --connect localhost:1", 64, "workspace"),
                ("segments", 64, "workspace"),
                ("explain ws --customer 1 --segmentation value", 69, "patron publish"),
                ("explain --customer 1 --segmentation value", 64, "workspace"),
                ("explain ws --connect h:1 --customer 1 --segmentation value", 64, "workspace"),
                ("explain ws --customer 1 --segmentation value --label x", 64, "--connect"),
                ("explain ws --customer 1 --segmentation value --tls", 64, "--connect"),
                ("ingest ws --rejects none/rejects.csv", 74, "none/rejects.csv"),
                ("ingest ws --memory lots", 64, "such as 2GiB"),
                ("ingest ws --memory -2GiB", 64, "memory"),
                ("ingest ws --memory 2000000000", 64, "such as 2GiB"),
                ("ingest ws --memory 200MiB", 64, "at least 256MiB"),
                ("run ws --memory 900TiB", 64, "more than this machine's"),
                ("models none", 1, "patron init"),
                ("serve ws --listen 0.0.0.0:0 --check-config", 65, "--tokens"),
                ("serve ws --check-config --tokens none", 65, "none cannot be read"),
                (
                    "serve ws --listen 127.0.0.1:7007 --admin 127.0.0.1:7007 --check-config", 65,
                    "give admin another port"
                ),
                ("serve --config serve.yaml --check-config", 65, "serve.yaml:2:16: limits.idle"),
                ("serve --config none.yaml", 74, "none.yaml"),
                ("serve", 64, "workspace"),
                ("serve ws --tls-cert a.pem", 64, "--tls-key"),
                ("token two,words --scopes all", 64, "'all'"),
                ("token shop --expires tomorrow", 64, "'tomorrow'"),
                ("lookup 1 --workspace ws --tls", 64, "--connect"),
                ("lookup 1 --connect localhost:1 --ca a.pem", 64, "--tls"),
                ("lookup 1 --connect localhost:1 --tls --ca a.pem", 64, "a.pem"),
            ]
            for (command, code, words) in cases {
                let arguments = command.split(separator: " ").map(String.init)
                let outcome = try Program.run(arguments, in: folder)
                #expect(outcome.code == code, "\(command): \(outcome.errors)")
                let isSaid = words.isEmpty || outcome.errors.contains(words)
                #expect(isSaid, "\(command): \(outcome.errors)")
                #expect(code == 0 || outcome.output.isEmpty, "\(command): \(outcome.output)")
            }
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full")))
    func aFullDiskBehindTheOutputIsAnError() throws {
        try withTemporaryFolder { folder in
            for arguments in [["selftest"], ["selftest", "--json"]] {
                let outcome = try Program.run(arguments, in: folder, output: "/dev/full")
                #expect(outcome.code == 74)
                #expect(outcome.errors.contains("standard output"))
            }
        }
    }
}
