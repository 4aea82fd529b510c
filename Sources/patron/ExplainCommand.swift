import ArgumentParser
import Engine
import PatronClient
import Units

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Why a customer is in a segment of what is published, and not in the next one.",
        discussion: """
            patron explain WS --customer ID --segmentation NAME
            patron explain --connect HOST:PORT --customer ID --segmentation NAME

            For k-means: the distance to the centroids of the customer's own and of the next nearest \
            segment, and what each feature adds to the difference of their squares: above 0 it speaks \
            for its own segment, and the shares sum to 100 %. For rules: the values that they read. \
            The first one that a server is asked after a publish takes as long as one of a workspace.
            """)

    @Argument(help: "The workspace.")
    var workspace: String?
    @Option(help: "Id of the customer.")
    var customer: String
    @Option(help: "The segmentation.")
    var segmentation: String
    @Option(help: "A running server, HOST:PORT.")
    var connect: String?
    @Option(help: "Answer from the generation with this label, such as canary.")
    var label: String?
    @OptionGroup var security: SecurityOptions
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (workspace == nil) != (connect == nil) else {
            throw ValidationError("give a workspace, or --connect HOST:PORT")
        }
        if let connect { _ = try Endpoint(parsing: connect) }
        guard connect != nil || !security.isUsed else {
            throw ValidationError("--tls, --token and --token-file go with --connect")
        }
        guard connect != nil || label == nil else {
            throw ValidationError("--label goes with --connect")
        }
    }

    func run() async throws {
        if let workspace {
            let report = try Workspace(folder: workspace, access: .reading).explainSegment(
                ofCustomer: customer, in: segmentation, threadCount: threads.threads)
            try output.print(Answer(report)) { $0.text }
            return
        }
        var connection = ConnectionOptions()
        connection.connect = connect
        connection.workspace = nil
        connection.label = label
        connection.security = security
        let (customer, segmentation) = (customer, segmentation)
        let answer = try await connection.withConnection { connection in
            try await Self.ask(connection, customer, segmentation)
        }
        try output.print(answer) { $0.text }
    }

    /// The names of segments are in another answer, which may be of a newer generation.
    private static func ask(
        _ connection: PatronConnection, _ customer: String, _ segmentation: String
    ) async throws -> Answer {
        let description = try await connection.describe()
        let id = try identifier(customer, description.customerIDKind, "customer")
        while true {
            let explanation = try await connection.explainSegment(
                of: id, in: segmentation, deadline: .seconds(600))
            let named = try await connection.segments(of: segmentation)
            guard named.snapshot.generation == explanation.snapshot.generation else { continue }
            return Answer(customer, segmentation, explanation, named.segments)
        }
    }
}

extension Explain {
    /// From a workspace and from a server alike.
    struct Answer: Encodable, Sendable {
        struct Segment: Encodable, Sendable {
            var id: Int
            var name: String
            /// To its centroid; nil for rules.
            var distance: Double?
        }

        struct Part: Encodable, Sendable {
            var feature: String
            var value: Double?
            var text: String?
            var segmentText: String?
            var nextText: String?
            var segmentMean: Double?
            var nextMean: Double?
            var overallMean: Double?
            var difference: Double?
            var share: Double?
        }

        var customer: String
        var segmentation: String
        var generation: Int
        var asOf: String
        var modelVersion: Int
        var segment: Segment
        /// Nil for rules, and where there is only one segment.
        var next: Segment?
        var parts: [Part]
    }
}

extension Explain.Answer {
    fileprivate init(_ report: SegmentExplanationReport) {
        func segment(_ found: SegmentExplanationReport.Segment) -> Segment {
            Segment(id: found.id, name: found.name, distance: found.distance)
        }
        self.init(
            customer: report.customer, segmentation: report.segmentation,
            generation: report.generation, asOf: report.asOf, modelVersion: report.modelVersion,
            segment: segment(report.segment), next: report.next.map(segment),
            parts: report.parts.map {
                Part(
                    feature: $0.feature, value: $0.value, text: $0.text,
                    segmentText: $0.segmentText, nextText: $0.nextText,
                    segmentMean: $0.segmentMean, nextMean: $0.nextMean,
                    overallMean: $0.overallMean, difference: $0.difference, share: $0.share)
            })
    }

    fileprivate init(
        _ customer: String, _ segmentation: String, _ found: SegmentExplanation,
        _ named: [SegmentsResult.Segment]
    ) {
        func segment(_ number: Int, _ distance: Double?) -> Segment {
            Segment(
                id: number, name: named.first { $0.number == number }?.name ?? "",
                distance: distance)
        }
        self.init(
            customer: customer, segmentation: segmentation,
            generation: Int(found.snapshot.generation),
            asOf: CalendarDay(daysSince1970: found.snapshot.asOfDay).description,
            modelVersion: found.modelVersion, segment: segment(found.segment, found.distance),
            next: found.nextSegment.map { segment($0, found.nextDistance) },
            parts: found.parts.map {
                Part(
                    feature: $0.feature, value: $0.value, text: $0.text,
                    segmentText: $0.segmentText, nextText: $0.nextText,
                    segmentMean: $0.segmentMean, nextMean: $0.nextMean,
                    overallMean: $0.overallMean, difference: $0.difference, share: $0.share)
            })
    }

    fileprivate var text: String {
        func title(_ segment: Segment) -> String {
            "\(segment.id) \(segment.name)"
                + (segment.distance.map { ", distance \($0.decimals(3))" } ?? "")
        }
        var lines = ["customer \(customer), \(segmentation): \(title(segment))"]
        if let next { lines.append("next: \(title(next))") }
        var table = TextTable([
            "feature", "customer>", "segment's mean>", "next one's mean>", "all>", "difference>",
            "share>",
        ])
        func number(_ value: Double?, _ count: Int = 3) -> String {
            value?.decimals(count) ?? "-"
        }
        for part in parts {
            table.add([
                SegmentNames.plain(part.feature), part.text ?? number(part.value),
                part.segmentText ?? number(part.segmentMean),
                part.nextText ?? number(part.nextMean), number(part.overallMean),
                number(part.difference, 4),
                SegmentText.percent(part.share),
            ])
        }
        lines.append(table.text)
        lines.append(
            "generation \(generation), as of \(asOf), model version \(modelVersion)")
        return lines.joined(separator: "\n")
    }
}
