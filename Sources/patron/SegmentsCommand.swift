import ArgumentParser
import Engine
import Foundation
import PatronClient
import Units

struct Segments: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Show the segments: how large, what they are worth, what sets them apart, who moved.",
        discussion: """
            patron segments WS                     all segments of what is published
            patron segments WS NAME                one segmentation, with its profile
            patron segments WS NAME --migration    who moved between the two latest published days
            patron segments --connect HOST:PORT    the same table from a running server; with \
            --segmentation NAME --profile its profile

            With --json, --workspace or WS also where segments lie on two principal axes, for a \
            picture.

            An index of 100 is as all customers of the segmentation. Numbers of segments stay from \
            one training to the next; the plan's `names` are keyed by them.
            """)

    @Argument(help: "The workspace.")
    var folder: String?
    @Argument(help: "A segmentation.")
    var name: String?
    @Flag(help: "Show who moved from segment to segment, by the ledger of published days.")
    var migration = false
    @Option(
        help: "Moves from this day on, yyyy-MM-dd; the last published day before by default.",
        transform: AsOfOption.day)
    var from: CalendarDay?
    @Option(
        help: "Moves up to this day; the last published day by default.",
        transform: AsOfOption.day)
    var to: CalendarDay?
    @Flag(help: "Also what the segments are like, feature by feature.")
    var profile = false
    @Option(help: "Only this segmentation.")
    var segmentation: String?
    @Option(help: "A running server, HOST:PORT.")
    var connect: String?
    @Option(help: "Answer from this workspace, without a running server.")
    var workspace: String?
    @Option(help: "Answer from the generation with this label, such as canary.")
    var label: String?
    @OptionGroup var security: SecurityOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard [folder, connect, workspace].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("give a workspace, or --connect HOST:PORT")
        }
        guard name == nil || segmentation == nil else {
            throw ValidationError("give the segmentation once")
        }
        if let connect { _ = try Endpoint(parsing: connect) }
        guard connect != nil || !security.isUsed else {
            throw ValidationError("--tls, --token and --token-file go with --connect")
        }
        guard connect != nil || label == nil else {
            throw ValidationError("--label goes with --connect")
        }
        let hasName = name != nil || segmentation != nil
        if migration, connect != nil || !hasName {
            throw ValidationError("--migration takes a workspace and the name of a segmentation")
        }
        if profile, !hasName {
            throw ValidationError("--profile takes the name of a segmentation")
        }
        guard migration || from == nil && to == nil else {
            throw ValidationError("--from and --to go with --migration")
        }
    }

    func run() async throws {
        let wanted = name ?? segmentation
        if let path = folder ?? workspace, let wanted, migration || folder != nil || profile {
            let workspace = try Workspace(folder: path, access: .reading)
            if migration {
                try output.print(
                    try workspace.segmentMigration(of: wanted, from: from, to: to)
                ) { $0.text }
            } else {
                try output.print(try workspace.segmentProfile(of: wanted)) { $0.text }
            }
            return
        }
        var connection = ConnectionOptions()
        connection.connect = connect
        connection.workspace = folder ?? workspace
        connection.label = label
        connection.security = security
        let profile = profile
        var answer = try await connection.withConnection { connection in
            let segments = try await connection.segments(of: wanted)
            let profiles = profile ? try await connection.segmentProfiles(of: wanted) : nil
            return SegmentsAnswer(segments, profiles)
        }
        if let path = connection.workspace, output.json {
            answer.maps = try Workspace(folder: path, access: .reading).segmentMaps()
                .filter { map in wanted.map { $0 == map.key } ?? true }
        }
        try output.print(answer) { $0.text }
    }
}

/// The segment tables of a server.
struct SegmentsAnswer: Encodable, Sendable {
    struct ProfileRow: Encodable, Sendable {
        var segment: Int
        var feature: String
        var category: String?
        var mean: Double?
        var overallMean: Double?
        var index: Double?
        var difference: Double
    }

    var generation: UInt64
    var asOf: String
    var currency: String
    var segments: [SegmentsResult.Segment]
    var profile: [ProfileRow]?
    /// By segmentation; nil from a server, which does not have the models.
    var maps: [String: SegmentMapReport]?

    init(_ result: SegmentsResult, _ profiles: SegmentProfilesResult?) {
        generation = result.snapshot.generation
        asOf = CalendarDay(daysSince1970: result.snapshot.asOfDay).description
        currency = result.snapshot.currency
        segments = result.segments
        profile = profiles?.rows.map { row in
            ProfileRow(
                segment: row.segment, feature: row.feature, category: row.category, mean: row.mean,
                overallMean: row.overallMean, index: row.index, difference: row.difference)
        }
    }

    var text: String {
        var table = TextTable([
            "segmentation", "no>", "name", "customers>", "share>", "revenue>", "share>",
            "mean lifetime value>", "mean churn>",
        ])
        for row in segments {
            table.add([
                row.segmentation, "\(row.number)", row.name, row.customerCount.grouped,
                SegmentText.percent(row.customerShare),
                SegmentText.money(row.revenue),
                SegmentText.percent(row.revenueShare),
                row.meanLifetimeValue.map { $0.decimals(2) } ?? "",
                row.meanChurnProbability.map { $0.decimals(3) } ?? "",
            ])
        }
        var lines = [table.text]
        if let profile {
            var features: [SegmentText.Feature] = []
            for row in profile {
                let name = row.category.map { "\(row.feature) = \($0)" } ?? row.feature
                if features.last?.name != name {
                    features.append(SegmentText.Feature(name: name, mean: row.overallMean))
                }
                features[features.count - 1].indexes[row.segment] = row.index
            }
            lines.append(SegmentText.indexes(features, of: segments.map(\.number)))
        }
        return lines.joined(separator: "\n")
            + "\ngeneration \(generation), as of \(asOf), \(currency)"
    }
}
