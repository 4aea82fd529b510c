package import Models
import Numerical

/// `patron lab topn`: the best items of every user.
package enum TopNLab {
    package struct Options: Sendable {
        /// `[userCount × factorCount]`, '<f4'.
        package var usersPath: String
        /// `[itemCount × factorCount]`, '<f4'.
        package var itemsPath: String
        package var count: Int = 10
        package var path = TopN.Path.byLength
        /// Items that a user must not get, in CSR order: `[userCount + 1]` offsets and indices.
        package var excludedOffsetsPath: String?
        package var excludedIndicesPath: String?
        /// Where to write the items, `[userCount × count]` '<i4', best first; -1 where there are no
        /// more.
        package var idsOutput: String?
        /// Where to write their scores, `[userCount × count]` '<f4'; 0 where there are no more.
        package var scoresOutput: String?

        package init(usersPath: String, itemsPath: String) {
            self.usersPath = usersPath
            self.itemsPath = itemsPath
        }
    }

    /// Reads, asks and writes.
    /// - Throws: `LabError` for arrays that cannot be used.
    package static func run(
        _ options: Options, _ setting: LabSetting
    ) throws(LabError) -> LabReport {
        let files = try LabFiles(
            reads: [
                "--users": options.usersPath, "--items": options.itemsPath,
                "--exclude-indptr": options.excludedOffsetsPath,
                "--exclude-indices": options.excludedIndicesPath,
            ], writes: ["--ids": options.idsOutput, "--scores": options.scoresOutput], setting)
        let roofline = try setting.rooflinePath.map(Roofline.init(path:))
        let (input, loadSeconds) = try timed { () throws(LabError) in try read(options) }
        let kernels = setting.kernels
        let (top, layoutSeconds) = try timed { () throws(LabError) in
            do throws(ModelError) {
                return try TopN(
                    itemFactors: input.items.span, itemCount: input.itemCount,
                    factorCount: input.factorCount, path: options.path, kernels: kernels)
            } catch {
                throw .model(path: options.itemsPath, error)
            }
        }
        var samples: [Double] = []
        var answers = TopLists.empty
        for _ in 0..<setting.repeatCount {
            let (found, seconds) = try timed { () throws(LabError) in
                do throws(ModelError) {
                    return try top.top(
                        options.count, queryFactors: input.users, excluding: input.excluded,
                        threadCount: setting.threadCount, kernels: kernels)
                } catch {
                    throw .model(path: options.usersPath, error)
                }
            }
            samples.append(seconds)
            answers = found
        }
        let (ids, scores) = flat(answers, count: options.count)
        try files["--ids"]?.fill(ids, shape: [input.userCount, options.count])
        try files["--scores"]?.fill(scores, shape: [input.userCount, options.count])
        try files.publish()
        var hash = ResultHash()
        hash.add(ids)
        hash.add(scores)
        let seconds = median(samples)
        let demand = demand(input)
        var report = LabReport()
        report.add("users", .integer(input.userCount))
        report.add("items", .integer(input.itemCount))
        report.add("factors", .integer(input.factorCount))
        report.add("count", .integer(options.count))
        report.add("path", .text(options.path.rawValue))
        report.add("excluded", .integer(input.excluded?.valueCount ?? 0))
        report.add(setting, samples: samples, as: "seconds")
        report.add("load_seconds", .number(loadSeconds))
        report.add("layout_seconds", .number(layoutSeconds))
        report.add("seconds", .number(seconds))
        report.add("users_per_second", .number(Double(input.userCount) / seconds))
        report.add("gflops", .number(demand.operations / seconds / 1e9))
        report.add(demand, seconds: seconds, roofline, setting)
        report.add("hash", .text(hash.text))
        return report
    }

    private struct Input {
        let userCount: Int
        let itemCount: Int
        let factorCount: Int
        let users: [Float]
        let items: [Float]
        let excluded: SparseMatrix?
    }

    private static func read(_ options: Options) throws(LabError) -> Input {
        let usersFile = try NumPyFile(options.usersPath, [.float32])
        let itemsFile = try NumPyFile(options.itemsPath, [.float32])
        try usersFile.requireAxes(2, "users and factors")
        try itemsFile.requireAxes(2, "items and factors")
        guard usersFile.shape[1] == itemsFile.shape[1] else {
            throw .mismatch(
                path: usersFile.path, found: "\(usersFile.shape[1]) factors",
                expected: "\(itemsFile.shape[1]) are needed", other: "by \(itemsFile.path)")
        }
        for file in [usersFile, itemsFile] where file.count == 0 {
            throw .badArray(
                path: file.path, byteOffset: file.header.shapeOffset,
                found: "the shape \(file.shape)", expected: "at least one row and one column",
                advice: "there is nothing to rank")
        }
        let (users, items) = (Double(usersFile.shape[0]), Double(itemsFile.shape[0]))
        // The answers of a run and of the one before, then filled up; the users' factors; the
        // items' as they are read, ordered, and in the kernels' order, whole blocks of 64.
        try LabError.requireMemory(
            users * (16 * min(Double(options.count), items) + 8 * Double(options.count))
                + 4 * Double(usersFile.shape[1])
                * (users + 2 * items + (items / 64).rounded(.up) * 64),
            for: "\(options.count) items for each of \(usersFile.shape[0]) users of "
                + "\(usersFile.shape[1]) factors",
            path: usersFile.path)
        let (userFactors, itemFactors) = (try usersFile.floats(), try itemsFile.floats())
        try usersFile.requireFinite(userFactors)
        try itemsFile.requireFinite(itemFactors)
        return Input(
            userCount: usersFile.shape[0], itemCount: itemsFile.shape[0],
            factorCount: usersFile.shape[1], users: userFactors, items: itemFactors,
            excluded: try excluded(options, usersFile, itemCount: itemsFile.shape[0]))
    }

    private static func excluded(
        _ options: Options, _ users: NumPyFile, itemCount: Int
    ) throws(LabError) -> SparseMatrix? {
        guard let offsets = options.excludedOffsetsPath, let indices = options.excludedIndicesPath
        else { return nil }
        let pattern = try SparseInput.pattern(
            offsetsPath: offsets, indicesPath: indices, columnCount: itemCount)
        guard pattern.rowCount == users.shape[0] else {
            throw .mismatch(
                path: offsets, found: "offsets of \(pattern.rowCount) rows",
                expected: "\(users.shape[0]) are needed", other: "by \(users.path)")
        }
        return pattern.matrix(values: [Float](repeating: 1, count: pattern.columnIndices.count))
    }

    /// `[userCount × count]` ids and scores, filled up where there are fewer items than `count`.
    private static func flat(
        _ answers: TopLists, count: Int
    ) -> (ids: [Int32], scores: [Float]) {
        if answers.width == count { return (answers.items, answers.scores) }
        var ids = [Int32](repeating: -1, count: answers.queryCount * count)
        var scores = [Float](repeating: 0, count: answers.queryCount * count)
        for user in 0..<answers.queryCount {
            for (rank, entry) in answers[user].enumerated() {
                ids[user * count + rank] = entry.item
                scores[user * count + rank] = entry.score
            }
        }
        return (ids, scores)
    }

    /// A scalar product for every user and item; the items are read once for 64 users.
    private static func demand(_ input: Input) -> Demand {
        let itemBytes = 4 * Double(input.itemCount) * Double(input.factorCount)
        return Demand(
            operations: 2 * Double(input.userCount) * Double(input.itemCount)
                * Double(input.factorCount),
            traffic: [
                .init(
                    byteCount: Double((input.userCount + 63) / 64) * itemBytes,
                    workingByteCount: itemBytes)
            ])
    }
}
