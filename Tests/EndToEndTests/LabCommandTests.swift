import Foundation
import Lab
import TestSupport
import Testing

/// `patron lab` and `patron roofline`: what is printed, and the exit codes of bad input.
@Suite(.enabled(if: Program.path != nil, "patron is not built beside the tests"))
struct LabCommandTests {
    /// Arrays for every command: 40 points in two groups, a matrix of 3 rows and 4 columns, factors.
    private func writeArrays(_ folder: URL) throws {
        func save(_ values: [Float], _ shape: [Int], _ name: String) throws {
            try NumPyOutput(folder.sub(name)).write(values, shape: shape)
        }
        func save(_ values: [Int32], _ name: String) throws {
            try NumPyOutput(folder.sub(name)).write(values, shape: [values.count])
        }
        let points = (0..<80).map { (i: Int) -> Float in
            let group = i / 2 % 2
            return Float(100 * group + i % 7)
        }
        try save(points, [40, 2], "x.npy")
        var spoilt = points
        spoilt[7] = .nan
        try save(spoilt, [40, 2], "nan.npy")
        try NumPyOutput(folder.sub("double.npy")).write(points.map(Double.init), shape: [40, 2])
        try save([0, 2, 3, 4], "indptr.npy")
        try save([0, 2, 1], "descending.npy")
        try save([0, 1, 3, 2], "indices.npy")
        try save([1, 2, 1, 1], [4], "data.npy")
        try save([1, 0, 0, 1, 1, 1], [3, 2], "users.npy")
        try save([1, 2, 3, 4, 5, 6, 7, 8], [4, 2], "items.npy")
        try folder.write("not an array at all", as: "text.npy")
        // Repeat purchases, days from the first to the last one, and observed days.
        let customers = 0..<200
        let counts = customers.map { Int32($0 % 5 == 0 ? 0 : $0 % 7) }
        try save(counts, "x1.npy")
        try save(customers.map { counts[$0] == 0 ? 0 : Int32(20 + $0 * 11 % 160) }, "tx1.npy")
        try save(customers.map { Int32(200 + $0 % 90) }, "t1.npy")
        try NumPyOutput(folder.sub("m1.npy")).write(
            customers.map { counts[$0] == 0 ? 0 : 10 + Double($0 * 7 % 40) }, shape: [200])
    }

    private let kMeans = "lab kmeans --iterations 5 --clusters"
    private let als = """
        lab als --indices indices.npy --data data.npy --factors 2 --regularization 0.1 \
        --confidence 1 --iterations 2 --indptr
        """

    @Test func everyRunPrintsOneObject() throws {
        try withTemporaryFolder { folder in
            try writeArrays(folder)
            let cases: [(command: String, keys: [String])] = [
                (
                    kMeans + " 2 --points x.npy --labels l.npy --centroids c.npy --repeat 2",
                    ["seed_seconds", "fit_seconds", "iterations", "inertia", "gflops"]
                ),
                (kMeans + " 2 --points x.npy --init c.npy --isa scalar --threads 1", ["hash"]),
                (
                    als + " indptr.npy --user-factors u.npy --item-factors i.npy",
                    ["seconds_per_iteration", "loss"]
                ),
                (
                    """
                    lab topn --users users.npy --items items.npy --count 2 --exclude-indptr \
                    indptr.npy --exclude-indices indices.npy --ids ids.npy --scores s.npy
                    """,
                    ["seconds", "users_per_second"]
                ),
                (
                    """
                    lab clv --model paretonbd --x x1.npy --tx tx1.npy --T t1.npy --m m1.npy \
                    --predictions p.npy
                    """,
                    ["parameters", "standard_errors", "log_likelihood", "score_seconds"]
                ),
            ]
            for (command, keys) in cases {
                let words = command.split(separator: " ").map(String.init)
                let outcome = try Program.run(words + ["--json"], in: folder)
                #expect(outcome.code == 0 && outcome.errors.isEmpty, "\(command): \(outcome)")
                let object = try #require(
                    try? JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                        as? [String: Any], "\(command): \(outcome.output)")
                for key in keys + ["threads", "isa", "hash", "load_seconds"] {
                    #expect(object[key] != nil, "\(command): \(key)")
                }
                // For people: the same fields, one a line.
                let text = try Program.run(words, in: folder)
                #expect(text.code == 0)
                #expect(text.output.split(separator: "\n").count == object.count)
            }
            for name in ["l", "c", "u", "i", "ids", "s"] {
                _ = try NumPyFile(folder.sub("\(name).npy"))
            }
            #expect(try NumPyFile(folder.sub("ids.npy")).shape == [3, 2])
        }
    }

    @Test func exitCodes() throws {
        try withTemporaryFolder { folder in
            try writeArrays(folder)
            let cases: [(command: String, code: Int32, words: String)] = [
                ("lab --help", 0, "kmeans"), ("roofline --help", 0, "one_thread"),
                ("roofline --seconds-per-test 0", 64, "seconds-per-test"),
                ("roofline --threads 0", 64, "--threads"),
                ("lab", 0, "kmeans"), ("lab svm", 64, "svm"),
                (kMeans + " 0 --points x.npy", 64, "--clusters"),
                (kMeans + " 2 --points x.npy --isa sse9", 64, "sse9"),
                (kMeans + " 2 --points x.npy --init x.npy --seed 1", 64, "--init"),
                (kMeans + " 2 --points x.npy --repeat 0", 64, "--repeat"),
                (kMeans + " 41 --points x.npy", 65, "[40, 2]"),
                (kMeans + " 2 --points nan.npy", 65, "row 3, column 1"),
                (kMeans + " 2 --points double.npy", 65, "astype('<f4')"),
                (kMeans + " 2 --points data.npy", 65, "rows and features"),
                (kMeans + " 2 --points text.npy", 65, "byte 0"),
                (kMeans + " 2 --points none.npy", 74, "none.npy"),
                (kMeans + " 2 --points x.npy --init x.npy", 65, "[2, 2]"),
                (kMeans + " 2 --points x.npy --labels none/l.npy", 74, "none/l.npy"),
                (kMeans + " 2 --points x.npy --roofline text.npy", 65, "patron roofline"),
                (als + " descending.npy", 65, "element 2"),
                (als + " indices.npy", 65, "element 3"),
                (als + " none.npy", 74, "none.npy"),
                (als + " indptr.npy --columns 3", 65, "0 ... 2 (row 1)"),
                (als + " indptr.npy --item-init users.npy", 65, "[4, 2]"),
                ("lab topn --users users.npy --items x.npy --count 0", 64, "--count"),
                ("lab topn --users users.npy --items data.npy", 65, "axes"),
                ("lab clv --x x1.npy --tx t1.npy --T tx1.npy", 65, "row 0"),
                ("lab clv --x x1.npy --tx indices.npy --T t1.npy", 65, "customers"),
                ("lab clv --x x1.npy --tx tx1.npy --T t1.npy --horizon never", 64, "52w"),
                ("lab clv --model gamma --x x1.npy --tx tx1.npy --T t1.npy", 64, "paretonbd"),
                (
                    "lab topn --users users.npy --items items.npy --exclude-indptr indptr.npy", 64,
                    "--exclude-indices"
                ),
            ]
            for (command, code, words) in cases {
                let arguments = command.split(separator: " ").map(String.init)
                let outcome = try Program.run(arguments, in: folder)
                #expect(outcome.code == code, "\(command): \(outcome.errors)")
                let said = code == 0 ? outcome.output : outcome.errors
                #expect(said.contains(words), "\(command): \(said)")
                #expect(code == 0 || outcome.output.isEmpty, "\(command): \(outcome.output)")
            }
        }
    }
}
