import ArgumentParser
import Foundation
import Lab
import Models
import Numerical
import Units

struct LabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Run one model on NumPy arrays, for side-by-side runs with other software.",
        discussion: """
            Arrays are little-endian .npy files in C order; nothing is read from or written to a \
            workspace, but that totals and rescore read one. Each command prints the seconds of its phases (load: mapping and reading \
            what is read whole; layout: bringing it into the kernels' order), the threads and the \
            instruction-set level, and an FNV-1a hash of the result's bytes, which is the same for \
            any number of threads. With --roofline it also names the limit of the machine that \
            binds and the share of it that was reached, counting only what no run can leave out. \
            Outputs appear together when the run is done; none may be a file that is read.
            """,
        subcommands: [
            LabKMeans.self, LabALS.self, LabTopN.self, LabLifetime.self, LabCodec.self,
            LabScan.self, LabLookup.self,
            LabTotals.self, LabGBDT.self, LabAppend.self, LabRescore.self,
        ])
}

struct LabOptions: ParsableArguments {
    @OptionGroup var threads: ThreadOptions
    @Option(
        help: "Instruction-set level of everything: scalar, baseline, avx2, avx512 or auto.",
        transform: level)
    var isa: ISALevel?
    @Option(name: .customLong("repeat"), help: "Run the timed part this often; report the median.")
    var repeatCount = 1
    @Option(help: "Limits to compare with: a file written by patron roofline --json.")
    var roofline: String?

    /// "auto" leaves the choice to PATRON_ISA and the machine.
    @Sendable static func level(_ text: String) throws -> ISALevel {
        guard !text.isEmpty else {
            throw ValidationError(
                "--isa is empty; give scalar, baseline, avx2, avx512 or auto, or leave it out")
        }
        do {
            return text == "auto" ? KernelTable.current.level : try ISALevel.choose(forced: text)
        } catch {
            throw ValidationError("--isa: \(error)")
        }
    }

    func validate() throws {
        guard (1...10_000).contains(repeatCount) else {
            throw ValidationError("--repeat is between 1 and 10000, not \(repeatCount)")
        }
    }

    var setting: LabSetting {
        LabSetting(
            threadCount: threads.threads, level: isa ?? KernelTable.current.level,
            repeatCount: repeatCount, rooflinePath: roofline)
    }
}

struct LabKMeans: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kmeans", abstract: "Cluster the rows of an array.",
        discussion: """
            Prints load_seconds, layout_seconds, check_seconds (finding NaN, means and scale, once \
            for all repeats), seed_seconds, fit_seconds, seconds_per_iteration, iterations, inertia \
            and gflops: two operations for each row, feature and cluster of an iteration, whatever \
            the algorithm skips.

            Rows are compared with centroids in single precision: a row almost as near to a second \
            centroid may go to either, alike for every algorithm and thread count, but not for every \
            --isa. The hash may then differ between levels.
            """)

    @Option(help: "Points, [rows x features], '<f4'.")
    var points: String
    @Option(help: "Number of clusters.")
    var clusters: Int
    @Option(
        name: .customLong("init"), help: "Centroids to start from, [clusters x features], '<f4'.")
    var start: String?
    @Option(help: "Seed of the starting centroids; 1 by default.")
    var seed: UInt64?
    @Option(help: "Most iterations.")
    var iterations: Int
    @Option(
        help:
            "Stop when the centroids move by no more than this share of the mean variance; 0: when no row changes its cluster."
    )
    var tolerance = 0.0
    @Option(help: "lloyd, bounded or auto; all give the same result.")
    var algorithm = KMeans.Algorithm.auto
    @Option(
        help: "greedy (k-means++), parallel (k-means||), miniBatch or auto: by rows and clusters.")
    var seeding = KMeans.Seeding.auto
    @Flag(help: "Read the file in every pass instead of copying it into memory.")
    var stream = false
    @Option(help: "Write the assignments here, [rows], '<i4'.")
    var labels: String?
    @Option(help: "Write the centroids here, [clusters x features], '<f4'.")
    var centroids: String?
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try require("--clusters", clusters, in: 1...4_096)
        try require("--iterations", iterations, in: 1...1_000_000)
        guard tolerance >= 0, tolerance.isFinite else {
            throw ValidationError("--tolerance is at least 0, not \(tolerance)")
        }
        guard start == nil || seed == nil else {
            throw ValidationError("give either --init or --seed")
        }
    }

    func run() throws {
        var options = KMeansLab.Options(
            pointsPath: points, clusterCount: clusters, iterations: iterations)
        options.centroidsPath = start
        options.seed = seed ?? 1
        options.tolerance = tolerance
        options.algorithm = algorithm
        options.seeding = seeding
        options.isStreamed = stream
        options.labelsOutput = labels
        options.centroidsOutput = centroids
        try output.print(try KMeansLab.run(options, lab.setting))
    }
}

struct LabALS: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "als",
        abstract: "Factorize a sparse matrix of purchases by alternating least squares.",
        discussion: """
            The matrix is in CSR order: row i has the entries indptr[i] up to indptr[i + 1]. A stored \
            value r counts with confidence 1 + A r, or A r with --convention alphaR; every other \
            pair counts with 1. Prints fit_seconds, seconds_per_iteration, the loss after each \
            iteration and, of cholesky, gflops: what the exact solution of every row takes in as many \
            dimensions as there are factors. With --roofline the limit counts for an iteration of \
            cholesky each row's cheaper exact way, of subspace all its blocks, of cg no step but the \
            residual, because rows may be done early; and of each one gathering of the factors of \
            every entry.
            """)

    @Option(help: "Row offsets, [rows + 1], '<i8' or '<i4'.")
    var indptr: String
    @Option(help: "Column indices, ascending within a row, '<i4' or '<i8'.")
    var indices: String
    @Option(help: "Values, at least 0, '<f4' or integers.")
    var data: String
    @Option(help: "Number of columns; one more than the largest index by default.")
    var columns: Int?
    @Option(help: "Number of factors.")
    var factors: Int
    @Option(help: "Regularization of a row; --regularization-exponent scales it by its entries.")
    var regularization: Double
    @Option(help: "Confidence weight A of the values: see --convention.")
    var confidence: Double
    @Option(help: "Iterations, each of both sides.")
    var iterations: Int
    @Option(help: "cholesky, cg or subspace.")
    var solver = ALSLab.Solver.cholesky
    @Option(help: "Most steps of --solver cg for a row in an iteration; 3 by default.")
    var steps: Int?
    @Option(help: "onePlusAlphaR: confidence 1 + A r; alphaR: A r, as implicit has it.")
    var convention = ImplicitALS.Confidence.onePlusAlphaR
    @Option(help: "0 to 1: how the regularization of a row grows with its entries; 0: not at all.")
    var regularizationExponent = 0.0
    @Flag(help: "Leave the loss out; it is found in one more fit, which is not timed.")
    var noLoss = false
    @Option(help: "Item factors to start from, [columns x factors], '<f4'.")
    var itemInit: String?
    @Option(help: "Seed of the factors to start from; 1 by default.")
    var seed: UInt64?
    @Option(help: "Write the rows' factors here, [rows x factors], '<f4'.")
    var userFactors: String?
    @Option(help: "Write the columns' factors here, [columns x factors], '<f4'.")
    var itemFactors: String?
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try require("--factors", factors, in: 1...512)
        try require("--iterations", iterations, in: 1...1_000_000)
        if let steps { try require("--steps", steps, in: 1...1_000) }
        if let columns { try require("--columns", columns, in: 1...Int(Int32.max)) }
        for (name, value) in [("--regularization", regularization), ("--confidence", confidence)] {
            guard (0...1e15).contains(value) else {
                throw ValidationError("\(name) is between 0 and 1e15, not \(value)")
            }
        }
        guard (0...1).contains(regularizationExponent) else {
            throw ValidationError(
                "--regularization-exponent is between 0 and 1, not \(regularizationExponent)")
        }
        guard regularizationExponent == 0 || confidence > 0 else {
            throw ValidationError(
                "--regularization-exponent above 0 needs --confidence above 0: by it the entries "
                    + "are weighed against all others")
        }
        guard steps == nil || solver == .cg else {
            throw ValidationError("--steps is of --solver cg, not of \(solver.rawValue)")
        }
        guard itemInit == nil || seed == nil else {
            throw ValidationError("give either --item-init or --seed")
        }
    }

    func run() throws {
        var options = ALSLab.Options(
            offsetsPath: indptr, indicesPath: indices, valuesPath: data, iterations: iterations)
        options.itemCount = columns
        options.factorCount = factors
        options.regularization = regularization
        options.confidenceWeight = confidence
        options.solver = solver
        options.steps = steps
        options.confidence = convention
        options.regularizationExponent = regularizationExponent
        options.reportsLoss = !noLoss
        options.itemStartPath = itemInit
        options.seed = seed ?? 1
        options.userFactorsOutput = userFactors
        options.itemFactorsOutput = itemFactors
        try output.print(try ALSLab.run(options, lab.setting))
    }
}

struct LabTopN: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topn",
        abstract: "Find the items with the largest scalar products of every user.",
        discussion: """
            Best first, ties to the lower item. A user for whom fewer items remain than --count gets \
            item -1 with score 0. Prints seconds and users_per_second.
            """)

    @Option(help: "Users, [users x factors], '<f4'.")
    var users: String
    @Option(help: "Items, [items x factors], '<f4'.")
    var items: String
    @Option(help: "Items a user.")
    var count = 10
    @Option(help: "Offsets of the items that each user must not get, [users + 1], '<i8' or '<i4'.")
    var excludeIndptr: String?
    @Option(help: "Those items, ascending for each user, '<i4' or '<i8'.")
    var excludeIndices: String?
    @Option(help: "scan, or byLength: the longest items first, with an early end. Same result.")
    var path = TopN.Path.byLength
    @Option(help: "Write the items here, [users x count], '<i4'.")
    var ids: String?
    @Option(help: "Write their scores here, [users x count], '<f4'.")
    var scores: String?
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try require("--count", count, in: 1...1_000_000)
        guard (excludeIndptr == nil) == (excludeIndices == nil) else {
            throw ValidationError("give both --exclude-indptr and --exclude-indices, or neither")
        }
    }

    func run() throws {
        var options = TopNLab.Options(usersPath: users, itemsPath: items)
        options.count = count
        options.path = path
        options.excludedOffsetsPath = excludeIndptr
        options.excludedIndicesPath = excludeIndices
        options.idsOutput = ids
        options.scoresOutput = scores
        try output.print(try TopNLab.run(options, lab.setting))
    }
}

struct LabCodec: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "codec", abstract: "Encode and decode the columns of an array.",
        discussion: """
            For each column, each encoding that fits it and the one that a segment file chooses: \
            bytes, ratio, encode_seconds, decode_seconds (on one thread, into memory that stays in a \
            cache), gigabytes a second and bytes a cycle of decoded values, whether every bit came \
            back, and bytes a cycle in caches: of 1,024 values at a time in the first-level one \
            (tile_bytes_per_cycle; beside it a plain copy of them) and of one block in the second-level \
            one (block_bytes_per_cycle). LZ4 on the plain values for comparison: as the store calls it \
            (lz4) and bare (liblz4). Then the columns as one segment file on all threads: its bytes, reading it whole \
            (file_read_seconds), block by block into small arrays (file_block_seconds), opening it for \
            look-ups (file_open_seconds) and decoding it into the tiles of a feature matrix \
            (tile_seconds).
            """)

    @Option(help: "Columns, [columns x rows], '<f4', '<f8', '<i8' or '<i4'; may be repeated.")
    var columns: [String]
    @Flag(help: "Leave the single encodings and LZ4 out.")
    var fileOnly = false
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        var options = CodecLab.Options(columnsPaths: columns)
        options.isFileOnly = fileOnly
        try output.print(try CodecLab.run(options, lab.setting), text: \.text)
    }
}

struct LabScan: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Add the values of a column over the rows that match.",
        discussion: """
            The columns become a segment file that stays in the system's cache; printed are the \
            matching rows, their sum and the seconds of the scan alone. Ranges include both ends.
            """)

    @Option(help: "The column to add: one axis, '<f4', '<f8', '<i8' or '<i4'.")
    var sum: String
    @Option(
        name: .customLong("where"),
        help: "A condition on a column, FILE=VALUE or FILE=LOWER..UPPER; may be repeated.",
        transform: condition)
    var conditions: [ScanLab.Condition] = []
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    @Sendable static func condition(_ text: String) throws -> ScanLab.Condition {
        guard let condition = ScanLab.Condition(text) else {
            throw ValidationError("'\(text)' is neither FILE=VALUE nor FILE=LOWER..UPPER")
        }
        return condition
    }

    func run() throws {
        let options = ScanLab.Options(sumPath: sum, conditions: conditions)
        try output.print(try ScanLab.run(options, lab.setting), text: \.text)
    }
}

struct LabLookup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup", abstract: "Look rows up one by one and in batches.",
        discussion: """
            All columns of random rows, from the encoded blocks of a segment file (one value after \
            the other) and from a row strip behind an id index (in batches, and the index alone \
            also id by id): nanoseconds a row or an id on one thread, pages and caches warm.
            """)

    @Option(help: "Columns, [columns x rows], '<f4', finite.")
    var columns: String
    @Option(help: "Ids a batch.")
    var batch = 256
    @Option(help: "How many random rows to ask for.")
    var count = 1_048_576
    @Option(help: "Seed of the random rows.")
    var seed: UInt64 = 1
    @Flag(help: "Ids are texts of 18 bytes, not integers.")
    var texts = false
    @Flag(help: "Leave the encoded blocks out.")
    var stripOnly = false
    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try require("--batch", batch, in: 1...65_536)
        try require("--count", count, in: 1...100_000_000)
    }

    func run() throws {
        var options = LookupLab.Options(columnsPath: columns)
        options.batchCount = batch
        options.lookupCount = count
        options.seed = seed
        options.areTexts = texts
        options.isStripOnly = stripOnly
        try output.print(try LookupLab.run(options, lab.setting), text: \.text)
    }
}

extension KMeans.Algorithm: ExpressibleByArgument {}
extension KMeans.Seeding: ExpressibleByArgument {}
extension ImplicitALS.Confidence: ExpressibleByArgument {}
extension TopN.Path: ExpressibleByArgument {}
extension ALSLab.Solver: ExpressibleByArgument {}
extension TimeGrid: ExpressibleByArgument {}

private func require(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws {
    guard range.contains(value) else {
        throw ValidationError(
            "\(name) is between \(range.lowerBound) and \(range.upperBound), not \(value)")
    }
}

extension OutputOptions {
    /// Prints a report; beside JSON its notes go to standard error.
    func print(_ report: LabReport) throws {
        try print(report, text: \.text)
        for note in report.notes where json { Terminal.writeError("warning: \(note)") }
    }
}

extension LabReport {
    /// One line a field, then the notes.
    var text: String {
        var table = TextTable(["", ""])
        var tables = ""
        for (key, value) in fields {
            if case .rows(let rows) = value, let first = rows.first {
                var part = TextTable(first.fields.map { $0.key.replacing("_", with: " ") })
                for row in rows { part.add(row.fields.map(\.value.text)) }
                tables += "\n" + part.text
            } else {
                table.add([key.replacing("_", with: " "), value.text])
            }
        }
        let lines =
            [table.text.trimmingPrefix("\n").description + tables] + notes.map { "note: \($0)" }
        return lines.joined(separator: "\n")
    }
}

extension LabReport.Value {
    fileprivate var text: String {
        switch self {
        case .integer(let value): value.grouped
        case .number(let value): value.significant
        case .numbers(let values): values.map(\.significant).joined(separator: ", ")
        case .rows(let rows): "\(rows.count) rows"
        case .text(let value): value
        case .truth(let value): value ? "yes" : "no"
        }
    }
}

extension Double {
    /// With four significant digits or all digits before the point; with an exponent only where a
    /// reader would have to count zeros.
    var significant: String {
        let magnitude = abs(self)
        if magnitude == 0 { return "0" }
        guard magnitude >= 1e-6, magnitude < 1e15 else { return String(format: "%.3e", self) }
        if magnitude >= 1_000 { return grouped }
        return decimals(max(0, 3 - log10Floor(magnitude)))
    }

    private func log10Floor(_ value: Double) -> Int {
        var power = 0
        var rest = value
        while rest >= 10 { (rest, power) = (rest / 10, power + 1) }
        while rest < 1 { (rest, power) = (rest * 10, power - 1) }
        return power
    }
}
