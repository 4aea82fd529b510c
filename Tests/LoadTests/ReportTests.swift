import Foundation
import Load
import Testing

struct SaturationSearchTests {
    /// A server that keeps up with every rate below its capacity and is too slow at any other.
    private func search(capacity: Double, estimate: Double, steps: Int = 20) -> SaturationSearch {
        var search = SaturationSearch(estimate: estimate, maximumSteps: steps, p99Limit: 1_000)
        while let rate = search.nextRate {
            let isTooHigh = rate > capacity
            search.record(
                rate: rate, offered: rate, achieved: rate, p99Microseconds: isTooHigh ? 5_000 : 100,
                errors: 0)
        }
        return search
    }

    @Test(arguments: [
        (10_000.0, 10_000.0), (10_000, 9_000), (10_000, 25_000), (10_000, 2_000), (3, 500),
    ])
    func theHighestRateIsFound(capacity: Double, estimate: Double) {
        let search = search(capacity: capacity, estimate: estimate)
        let highest = search.highest ?? 0
        #expect(highest <= capacity && highest > capacity / 1.03, "\(search.steps)")
        #expect(search.steps.count <= 20)
    }

    @Test func stepsAreBounded() {
        #expect(search(capacity: 1e6, estimate: 1, steps: 5).steps.count == 5)
        let hopeless = search(capacity: 0, estimate: 1_000, steps: 50)
        #expect(hopeless.highest == nil)
        #expect(hopeless.steps.count < 15)
    }

    @Test func whatKeepsUpIsJudged() {
        var search = SaturationSearch(estimate: 100, maximumSteps: 9, p99Limit: 1_000)
        search.record(rate: 100, offered: 100, achieved: 98, p99Microseconds: 10, errors: 0)
        search.record(rate: 100, offered: 100, achieved: 100, p99Microseconds: 1_001, errors: 0)
        search.record(rate: 100, offered: 100, achieved: 100, p99Microseconds: 10, errors: 1)
        search.record(rate: 100, offered: 100, achieved: 99, p99Microseconds: 1_000, errors: 0)
        // Fewer than asked for came, and all of them were answered.
        search.record(rate: 100, offered: 97, achieved: 97, p99Microseconds: 10, errors: 0)
        #expect(search.steps.map(\.isKeptUp) == [false, false, false, true, true])
    }
}

struct LatencyHistogramTests {
    /// Three digits, at every magnitude; what is longer than an hour counts as an hour.
    @Test func valuesAreToldToThreeDigits() {
        for value in [UInt64(1), 999, 2_047, 123_456, 98_765_432, 59_000_000_000] {
            var histogram = LatencyHistogram()
            for _ in 0..<99 { histogram.record(value) }
            histogram.record(value * 10)
            for share in [0.01, 0.5, 0.99] {
                let told = Double(histogram.value(atShare: share))
                #expect(abs(told - Double(value)) <= Double(value) * 0.001)
            }
            #expect(histogram.maximum == value * 10)
            #expect(histogram.count == 100)
            let shares = [0.01, 0.5, 0.99, 0.991, 1]
            #expect(
                histogram.values(atShares: shares) == shares.map { histogram.value(atShare: $0) })
        }
        var histogram = LatencyHistogram()
        histogram.record(.max)
        #expect(histogram.maximum == 3_600_000_000_000)
        #expect(LatencyHistogram().value(atShare: 0.99) == 0)
    }

    @Test func sumsHoldAllValues() {
        var (first, second) = (LatencyHistogram(), LatencyHistogram())
        for value in UInt64(1)...100 { first.record(value * 1_000) }
        for value in UInt64(101)...200 { second.record(value * 1_000) }
        first.add(second)
        #expect(first.count == 200)
        #expect(first.count(in: 1...100_000) == 100)
        #expect(first.maximum == 200_000)
        let shares = (1...1_000).map { Double($0) / 1_000 }
        #expect(first.values(atShares: shares) == shares.map { first.value(atShare: $0) })
        #expect(LatencyHistogram().values(atShares: [0, 0.5, 1]) == [0, 0, 0])
    }
}

struct LatencyPlotTests {
    private func curve(_ label: String, _ scale: Double) -> LatencyPlot.Curve {
        LatencyPlot.Curve(
            label: label,
            points: (0...40).map {
                let nines = Double($0) / 10
                return LoadReport.Point(nines: nines, microseconds: scale * exp(nines))
            }, colour: 0)
    }

    @Test func curvesAndLabelsAreDrawn() {
        let plot = LatencyPlot(
            title: "A < B & C", subtitle: "s",
            curves: [curve("lookup", 50), curve("ping", 49), curve("none", 1)])
        let svg = plot.svg
        #expect(svg.components(separatedBy: "<polyline").count == 4)
        #expect(svg.contains("A &lt; B &amp; C"))
        #expect(svg.contains("99.99 %"))
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        for word in ["nan", "inf"] {
            #expect(!svg.contains("\"\(word)") && !svg.contains(",\(word)"))
        }
    }

    @Test func oneValueAndNoneAreDrawnToo() {
        let one = LatencyPlot.Curve(
            label: "one", points: [LoadReport.Point(nines: 0, microseconds: 0)], colour: 9)
        for curves in [[], [one], [LatencyPlot.Curve(label: "empty", points: [], colour: 0)]] {
            let svg = LatencyPlot(title: "t", subtitle: "s", curves: curves).svg
            #expect(!svg.contains("nan") && !svg.contains("inf\""))
        }
    }
}

struct LoadPlanTests {
    @Test func whatCannotBeIsRefused() {
        let changes: [(String, (inout LoadPlan) -> Void)] = [
            ("--rate", { $0.pace = .open(rate: 0, .poisson) }),
            ("--rate", { $0.pace = .open(rate: .nan, .poisson) }),
            ("--duration", { $0.seconds = 0 }), ("--warm-up", { $0.warmUpSeconds = -1 }),
            ("--connections", { $0.connections = 0 }), ("--pipeline", { $0.pipeline = 0 }),
            ("--threads", { $0.threads = 51 }), ("--ids-per-request", { $0.idsPerRequest = 0 }),
            ("--results", { $0.resultCount = 0 }), ("--id-range", { $0.customers = nil }),
            (
                "--mix",
                {
                    $0.speaks = .redis
                    $0.mix = mix("ping")
                }
            ),
            ("--product-range", { $0.mix = mix("top-customers") }),
            (
                "--columns",
                {
                    $0.speaks = .redis
                    $0.columns = []
                }
            ),
            (
                "250 bytes",
                {
                    $0.speaks = .memcached
                    $0.customers = .texts(["a b"])
                }
            ),
        ]
        for (words, change) in changes {
            var plan = LoadPlan()
            plan.customers = .range(1...2)
            #expect(throws: Never.self) { try plan.validate() }
            change(&plan)
            let error = #expect(throws: LoadError.self) { try plan.validate() }
            #expect(error?.description.contains(words) == true, "\(String(describing: error))")
        }
    }

    private func mix(_ text: String) -> OperationMix {
        (try? OperationMix(parsing: text)) ?? .lookups
    }
}
