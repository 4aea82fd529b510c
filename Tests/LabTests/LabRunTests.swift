import Foundation
import Lab
import Models
import Numerical
import TestSupport
import Testing

@Suite struct LabRunTests {
    private let setting = LabSetting(threadCount: 2, level: KernelTable.current.level)

    // MARK: - k-means

    /// Rows around three corners, far apart, and the corners.
    private func corners(_ rowCount: Int) -> (points: [Float], centers: [Float]) {
        let centers: [Float] = [0, 0, 10, 0, 0, 10]
        var random = SeededRandom(seed: 3)
        let points = (0..<rowCount * 2).map { i in
            centers[i / 2 % 3 * 2 + i % 2] + Float(random.uniform()) - 0.5
        }
        return (points, centers)
    }

    @Test func plantedClustersAreFound() throws {
        try withTemporaryFolder { folder in
            let (points, centers) = corners(300)
            let path = try folder.save(points, [300, 2], as: "x.npy")
            var options = KMeansLab.Options(pointsPath: path, clusterCount: 3, iterations: 20)
            options.centroidsPath = try folder.save(centers, [3, 2], as: "c.npy")
            options.labelsOutput = folder.sub("labels.npy")
            options.centroidsOutput = folder.sub("centroids.npy")
            let report = try KMeansLab.run(options, setting)
            let labels = try NumPyFile(folder.sub("labels.npy")).shortIntegers()
            #expect(labels == (0..<300).map { Int32($0 % 3) })
            let centroids = try NumPyFile(folder.sub("centroids.npy"))
            #expect(centroids.shape == [3, 2])
            for (found, planted) in zip(try centroids.floats(), centers) {
                #expect(abs(found - planted) < 0.2)
            }
            // The inertia is that of the rows that were written.
            var inertia = 0.0
            for (i, value) in points.enumerated() {
                let centroid = try centroids.floats()[Int(labels[i / 2]) * 2 + i % 2]
                inertia += Double(value - centroid) * Double(value - centroid)
            }
            let reported = try #require(report.number("inertia"))
            #expect(abs(reported - inertia) < 1e-3 * inertia)
            for key in [
                "load_seconds", "layout_seconds", "seed_seconds", "fit_seconds",
                "seconds_per_iteration", "gflops", "iterations",
            ] {
                let value = try #require(report.number(key), "\(key)")
                #expect(value.isFinite && value >= 0, "\(key)")
            }
            #expect(report["isa"] == .text(setting.level.rawValue))
            #expect(report["threads"] == .integer(2))
            #expect(report["limit"] == nil)
        }
    }

    @Test func theHashStaysTheSame() throws {
        try withTemporaryFolder { folder in
            let path = try folder.save(corners(1_000).points, [1_000, 2], as: "x.npy")
            var options = KMeansLab.Options(pointsPath: path, clusterCount: 5, iterations: 10)
            var hashes: Set<String> = []
            for threadCount in [1, 2, 3] {
                let report = try KMeansLab.run(
                    options,
                    LabSetting(
                        threadCount: threadCount, level: setting.level, repeatCount: threadCount))
                guard case .numbers(let samples)? = report["fit_seconds_samples"],
                    case .text(let hash)? = report["hash"]
                else {
                    Issue.record("no samples or hash")
                    return
                }
                #expect(samples.count == threadCount)
                hashes.insert(hash)
            }
            #expect(hashes.count == 1)
            options.seed = 99
            options.clusterCount = 6
            let other = try KMeansLab.run(options, setting)
            #expect(other["hash"].map { "\($0)" } != hashes.first)
            // Every level runs, and finds about the same.
            for level in ISALevel.available {
                let report = try KMeansLab.run(options, LabSetting(level: level))
                let (mine, theirs) = (report.number("inertia") ?? 0, other.number("inertia") ?? 1)
                #expect(abs(mine - theirs) < 0.01 * theirs)
                #expect(report["isa"] == .text(level.rawValue))
            }
        }
    }

    @Test func theLimitIsNamed() throws {
        try withTemporaryFolder { folder in
            let path = try folder.save(corners(500).points, [500, 2], as: "x.npy")
            let limits = RooflineTests.limits.replacing(
                "fma_baseline", with: "fma_\(setting.level.rawValue)")
            let roofline = try folder.write(Array(limits.utf8), as: "roofline.json")
            let options = KMeansLab.Options(pointsPath: path, clusterCount: 3, iterations: 5)
            let report = try KMeansLab.run(
                options, LabSetting(level: setting.level, rooflinePath: roofline))
            guard case .text(let limit)? = report["limit"] else {
                Issue.record("no limit")
                return
            }
            #expect(limit == "fma_\(setting.level.rawValue)" || limit.hasPrefix("read_"))
            let share = try #require(report.number("limit_share"))
            #expect(share > 0 && share.isFinite)
        }
    }

    /// What a machine was not measured for is said, and no limit is made up.
    @Test func missingLimitsAreNamed() throws {
        try withTemporaryFolder { folder in
            let path = try folder.save(corners(500).points, [500, 2], as: "x.npy")
            let options = KMeansLab.Options(pointsPath: path, clusterCount: 3, iterations: 5)
            func run(_ limits: String) throws -> LabReport {
                let roofline = try folder.write(Array(limits.utf8), as: "roofline.json")
                return try KMeansLab.run(
                    options, LabSetting(level: setting.level, rooflinePath: roofline))
            }
            let complete = RooflineTests.limits.replacing(
                "fma_baseline", with: "fma_\(setting.level.rawValue)")
            #expect(try run(complete).notes.isEmpty)
            for name in ["fma_\(setting.level.rawValue)", "read_l2"] {
                let report = try run(complete.replacing("\"\(name)\"", with: "\"other\""))
                #expect(report["limit"] == nil && report["limit_share"] == nil)
                #expect(report.notes.count == 1)
                #expect(report.notes[0].contains("no \(name);"), "\(report.notes)")
            }
        }
    }

    private func failure(_ work: () throws -> LabReport) -> String {
        do {
            _ = try work()
            return "no error"
        } catch let error as LabError {
            return error.description
        } catch {
            return "another error: \(error)"
        }
    }

    @Test func badPoints() throws {
        try withTemporaryFolder { folder in
            var values = corners(100).points
            let good = try folder.save(values, [100, 2], as: "x.npy")
            func message(_ path: String, _ clusterCount: Int, start: String? = nil) -> String {
                var options = KMeansLab.Options(
                    pointsPath: path, clusterCount: clusterCount, iterations: 5)
                options.centroidsPath = start
                options.labelsOutput = folder.sub("labels.npy")
                return failure { try KMeansLab.run(options, setting) }
            }
            #expect(message(good, 101).contains("[100, 2]"))
            #expect(message(good, 101).contains("--clusters 101"))
            values[2 * 57 + 1] = .nan
            let nan = try folder.save(values, [100, 2], as: "nan.npy")
            #expect(message(nan, 3).contains("row 57, column 1 (byte \(128 + 4 * 115))"))
            values[2 * 57 + 1] = .infinity
            let infinite = try folder.save(values, [100, 2], as: "inf.npy")
            #expect(message(infinite, 3).contains("row 57, column 1"))
            let flat = try folder.save(values, [200], as: "flat.npy")
            #expect(message(flat, 3).contains("1 axes"))
            let none = try folder.save([], [100, 0], as: "none.npy")
            #expect(message(none, 3).contains("one column"))
            #expect(!message(none, 3).contains("clusters"))
            let tiny = try folder.save(
                corners(100).points.map { $0 * 1e-24 }, [100, 2], as: "tiny.npy")
            #expect(message(tiny, 3).contains("scale the features"))
            let integers = try folder.save([1, 2], as: "integers.npy")
            #expect(message(integers, 1).contains("expected '<f4';"))
            // A file of holes whose two rows alone are 8 GiB: 256 of them a thread fit no machine.
            let wide = folder.sub("wide.npy")
            let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1073741824), }"
            _ = try folder.write(numPyBytes(text), as: "wide.npy")
            let file = try #require(FileHandle(forWritingAtPath: wide))
            try file.truncate(atOffset: 128 + 8 << 30)
            try file.close()
            #expect(message(wide, 2).contains("[2, 1073741824] would need"))
            let same = try folder.save(
                [Float](repeating: 1, count: 20), [10, 2], as: "same.npy")
            #expect(message(same, 2).contains("only 1 apart"))
            let wrong = try folder.save([1, 2, 3], [1, 3], as: "c.npy")
            #expect(message(good, 3, start: wrong).contains("[3, 2]"))
            let nanStart = try folder.save([1, .nan, 3, 4], [2, 2], as: "cn.npy")
            #expect(message(good, 2, start: nanStart).contains("row 0, column 1"))
            // A failed run leaves no output.
            #expect(!FileManager.default.fileExists(atPath: folder.sub("labels.npy")))
        }
    }

    // MARK: - ALS

    private struct Matrix {
        var offsets: [Int32] = [0, 2, 2, 4, 6]
        var indices: [Int32] = [0, 2, 1, 2, 0, 1]
        var values: [Float] = [1, 2, 1, 3, 1, 1]

        func save(_ folder: URL) throws -> ALSLab.Options {
            var options = ALSLab.Options(
                offsetsPath: try folder.save(offsets, as: "p.npy"),
                indicesPath: try folder.save(indices, as: "i.npy"),
                valuesPath: try folder.save(values, [values.count], as: "d.npy"), iterations: 3)
            options.factorCount = 4
            options.confidenceWeight = 2
            return options
        }
    }

    @Test func aSmallFactorization() throws {
        try withTemporaryFolder { folder in
            var options = try Matrix().save(folder)
            options.itemCount = 5
            options.userFactorsOutput = folder.sub("users.npy")
            options.itemFactorsOutput = folder.sub("items.npy")
            let report = try ALSLab.run(options, setting)
            guard case .numbers(let loss)? = report["loss"] else {
                Issue.record("no loss")
                return
            }
            #expect(loss.count == 3 && loss[2] <= loss[0] + 1e-9)
            let users = try NumPyFile(folder.sub("users.npy"))
            let items = try NumPyFile(folder.sub("items.npy"))
            #expect(users.shape == [4, 4] && items.shape == [5, 4])
            // The row and the columns without entries have no factors.
            #expect(try users.floats()[4..<8].allSatisfy { $0 == 0 })
            #expect(try items.floats()[12..<20].allSatisfy { $0 == 0 })
            #expect(try #require(report.number("seconds_per_iteration")) > 0)
            // From given factors, and the same result again.
            options.itemStartPath = try folder.save(
                (0..<20).map { Float($0 % 7) / 10 }, [5, 4], as: "start.npy")
            let first = try ALSLab.run(options, setting)
            let second = try ALSLab.run(options, LabSetting(level: setting.level))
            #expect(first["hash"] == second["hash"] && first["hash"] != report["hash"])
        }
    }

    /// Every solver names a limit, which no run can have beaten by much.
    @Test(arguments: ALSLab.Solver.allCases)
    func everySolverHasALimit(solver: ALSLab.Solver) throws {
        try withTemporaryFolder { folder in
            let limits = RooflineTests.limits.replacing(
                "fma_baseline", with: "fma_\(setting.level.rawValue)")
            let roofline = try folder.write(Array(limits.utf8), as: "roofline.json")
            var options = try Matrix().save(folder)
            options.solver = solver
            let report = try ALSLab.run(
                options, LabSetting(level: setting.level, rooflinePath: roofline))
            guard case .text(let limit)? = report["limit"] else {
                Issue.record("no limit")
                return
            }
            #expect(limit.hasPrefix("fma_") || limit.hasPrefix("read_"))
            let share = try #require(report.number("limit_share"))
            #expect(share > 0 && share < 1)
            #expect((report["gflops"] != nil) == (solver == .cholesky))
        }
    }

    @Test func badMatrices() throws {
        try withTemporaryFolder { folder in
            func message(_ change: (inout Matrix) -> Void, columns: Int? = nil) throws -> String {
                var matrix = Matrix()
                change(&matrix)
                var options = try matrix.save(folder)
                options.itemCount = columns
                return failure { try ALSLab.run(options, setting) }
            }
            #expect(try message { $0.offsets[2] = 1 }.contains("element 2 (byte 136) is 1"))
            #expect(try message { $0.offsets[0] = 1 }.contains("element 0"))
            #expect(try message { $0.offsets = [] }.contains("indptr"))
            #expect(try message { $0.offsets[4] = 7 }.contains("7 are needed"))
            #expect(try message { $0.values.removeLast() }.contains("5 values"))
            #expect(try message { $0.indices[3] = -1 }.contains("element 3"))
            #expect(try message { $0.indices[1] = 0 }.contains("more than the index before"))
            #expect(try message({ _ in }, columns: 2).contains("0 ... 1 (row 0)"))
            #expect(try message { $0.values[2] = .nan }.contains("element 2"))
            #expect(try message { $0.values[2] = -1 }.contains("at least 0"))
            let empty = try message {
                $0 = Matrix(offsets: [0, 0], indices: [], values: [])
            }
            #expect(empty.contains("at least one entry") && !empty.contains("date"))
            // An unsigned type: the advice is a type that will do.
            let unsigned = numPyBytes(
                "{'descr': '<u4', 'fortran_order': False, 'shape': (1,), }", data: [0, 0, 0, 0])
            var other = try Matrix().save(folder)
            other.offsetsPath = try folder.write(unsigned, as: "u4.npy")
            let refused = failure { try ALSLab.run(other, setting) }
            #expect(refused.contains("expected '<i8' or '<i4';"), "\(refused)")
            #expect(refused.contains("astype('<i8')"), "\(refused)")
            var options = try Matrix().save(folder)
            options.itemStartPath = try folder.save([1, 2], [1, 2], as: "start.npy")
            #expect(failure { try ALSLab.run(options, setting) }.contains("[3, 4]"))
            // Too large for single precision, and the fault of this file alone.
            var start = [Float](repeating: 0.5, count: 12)
            start[7] = -2e10
            options.itemStartPath = try folder.save(start, [3, 4], as: "start.npy")
            let tooLarge = failure { try ALSLab.run(options, setting) }
            #expect(tooLarge.contains("start.npy: row 1, column 3 (byte \(128 + 4 * 7)) is -2e+10"))
            start[7] = .infinity
            options.itemStartPath = try folder.save(start, [3, 4], as: "start.npy")
            let infinite = failure { try ALSLab.run(options, setting) }
            #expect(infinite.contains("start.npy: row 1, column 3") && infinite.contains("inf"))
            // An index that asks for 9 TB of factors.
            var huge = Matrix()
            huge.indices[5] = .max - 1
            options = try huge.save(folder)
            options.factorCount = 512
            #expect(failure { try ALSLab.run(options, setting) }.contains("GB"))
        }
    }

    /// A factor takes the memory of a whole register: from 1 to 16 only the result's factors grow.
    @Test func memoryIsThatOfPaddedFactors() throws {
        var options = ALSLab.Options(
            offsetsPath: "p", indicesPath: "i", valuesPath: "d", iterations: 1)
        func bytes(_ factorCount: Int) -> Double {
            options.factorCount = factorCount
            return ALSLab.neededBytes(rowCount: 1_000, columnCount: 100, valueCount: 0, options)
        }
        // Offsets and factors of 1,100 rows and columns in all, and what a solver keeps.
        let (all, rows): (Double, Double) = (1_100, 1_000)
        let narrow = all * 76 + rows * 64
        #expect(bytes(1) == narrow)
        #expect(bytes(16) == narrow + all * 60)
        let wide = all * 204 + rows * 128
        #expect(bytes(17) == wide)
        options.solver = .subspace
        let subspace = all * 136 + rows * 128
        #expect(bytes(16) == subspace)
        options.itemStartPath = "s"
        #expect(bytes(16) == subspace + 6_400)
    }

    // MARK: - Top N

    /// Scores by hand: the products of two users with four items.
    @Test func theBestItems() throws {
        try withTemporaryFolder { folder in
            var options = TopNLab.Options(
                usersPath: try folder.save([1, 0, 0, 2], [2, 2], as: "u.npy"),
                itemsPath: try folder.save([1, 5, 3, 5, 3, 1, -1, 0], [4, 2], as: "i.npy"))
            options.count = 3
            options.idsOutput = folder.sub("ids.npy")
            options.scoresOutput = folder.sub("scores.npy")
            let report = try TopNLab.run(options, setting)
            func result() throws -> ([Int32], [Float]) {
                (
                    try NumPyFile(folder.sub("ids.npy")).shortIntegers(),
                    try NumPyFile(folder.sub("scores.npy")).floats()
                )
            }
            #expect(try result() == ([1, 2, 0, 0, 1, 2], [3, 3, 1, 10, 10, 2]))
            #expect(try NumPyFile(folder.sub("ids.npy")).shape == [2, 3])
            #expect(try #require(report.number("users_per_second")) > 0)
            // Without items 1 and 2 two remain for the first user.
            options.excludedOffsetsPath = try folder.save([0, 2, 3], as: "ep.npy")
            options.excludedIndicesPath = try folder.save([1, 2, 0], as: "ei.npy")
            let excluded = try TopNLab.run(options, setting)
            #expect(
                try result() == ([0, 3, -1, 1, 2, 3], [1, -1, 0, 10, 2, 0]))
            #expect(excluded["hash"] != report["hash"])
            #expect(excluded["excluded"] == .integer(3))
        }
    }

    @Test func badFactors() throws {
        try withTemporaryFolder { folder in
            let users = try folder.save([1, 0, 0, 2], [2, 2], as: "u.npy")
            let items = try folder.save([1, 2, 3], [1, 3], as: "i.npy")
            var options = TopNLab.Options(usersPath: users, itemsPath: items)
            #expect(failure { try TopNLab.run(options, setting) }.contains("2 factors"))
            options.itemsPath = try folder.save([1, .nan], [1, 2], as: "n.npy")
            #expect(failure { try TopNLab.run(options, setting) }.contains("row 0, column 1"))
            options.itemsPath = try folder.save([], [0, 2], as: "e.npy")
            #expect(failure { try TopNLab.run(options, setting) }.contains("at least one row"))
            options.itemsPath = try folder.save([1, 2], [1, 2], as: "g.npy")
            options.excludedOffsetsPath = try folder.save([0, 1], as: "ep.npy")
            options.excludedIndicesPath = try folder.save([0], as: "ei.npy")
            #expect(failure { try TopNLab.run(options, setting) }.contains("offsets of 1 rows"))
            options.excludedOffsetsPath = try folder.save([0, 1, 1], as: "ep.npy")
            options.excludedIndicesPath = try folder.save([5], as: "ei.npy")
            #expect(failure { try TopNLab.run(options, setting) }.contains("0 ... 0"))
        }
    }
}
