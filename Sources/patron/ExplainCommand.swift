import ArgumentParser
import Engine

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Why a customer is in a segment of what is published, and not in the next one.",
        discussion: """
            For k-means: the distance to the centroids of the customer's own and of the next nearest \
            segment, and what each feature adds to the difference of their squares: above 0 it speaks \
            for its own segment, and the shares sum to 100 %. For rules: the values that they read.
            """)

    @Argument(help: "The workspace.")
    var workspace: String
    @Option(help: "Id of the customer.")
    var customer: String
    @Option(help: "The segmentation.")
    var segmentation: String
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let workspace = try Workspace(folder: workspace, access: .reading)
        let report = try workspace.explainSegment(
            ofCustomer: customer, in: segmentation, threadCount: threads.threads)
        try output.print(report) { $0.text }
    }
}

extension SegmentExplanationReport {
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
