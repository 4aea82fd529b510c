import Foundation

/// A picture of latencies by percentile: the horizontal axis counts nines, so that the slow tail has
/// as much room as the rest; the vertical one is logarithmic.
package struct LatencyPlot {
    package struct Curve {
        package var label: String
        /// Ascending; at least one.
        package var points: [LoadReport.Point]
        /// Which of the colours, from 0 on; after the last comes the first again.
        package var colour: Int
        package var isDashed: Bool

        package init(
            label: String, points: [LoadReport.Point], colour: Int, isDashed: Bool = false
        ) {
            self.label = label
            self.points = points
            self.colour = colour
            self.isDashed = isDashed
        }
    }

    package var title: String
    package var subtitle: String
    package var curves: [Curve]

    package init(title: String, subtitle: String, curves: [Curve]) {
        self.title = title
        self.subtitle = subtitle
        self.curves = curves.filter { !$0.points.isEmpty }
    }

    private static let (width, height) = (960.0, 540.0)
    private static let (left, top, right, bottom) = (72.0, 84.0, 184.0, 60.0)
    /// Told apart by eyes of all kinds. Source: M. Okabe and K. Ito, "Color Universal Design", 2008,
    /// without the two that are too light on white.
    private static let colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#555555"]

    /// The picture, 960 by 540, without anything outside the file.
    package var svg: String {
        let points = curves.flatMap(\.points)
        let lastNine = max(2, (points.map(\.nines).max() ?? 2).rounded(.up))
        let values = points.map { max($0.microseconds, 0.1) }
        let ticks = Self.ticks(values.min() ?? 1, values.max() ?? 10)
        let (low, high) = (log10(ticks.first ?? 1), log10(ticks.last ?? 10))
        let plotWidth = Self.width - Self.left - Self.right
        let plotHeight = Self.height - Self.top - Self.bottom
        func x(_ nines: Double) -> Double { Self.left + nines / lastNine * plotWidth }
        func y(_ microseconds: Double) -> Double {
            Self.top + (high - log10(max(microseconds, 0.1))) / (high - low) * plotHeight
        }
        let bottom = Self.height - Self.bottom
        var lines = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 540" width="960" height="540" \
            font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
            """,
            "<rect width=\"960\" height=\"540\" fill=\"#ffffff\"/>",
            text(Self.left, 34, title, "font-size=\"19\" font-weight=\"600\" fill=\"#1a1a1a\""),
            text(Self.left, 56, subtitle, "fill=\"#5f6368\""),
        ]
        for tick in ticks {
            lines.append(line(Self.left, y(tick), Self.left + plotWidth, y(tick), "#e6e8eb"))
            let attributes = "text-anchor=\"end\" fill=\"#5f6368\""
            lines.append(text(Self.left - 10, y(tick) + 4.5, Self.duration(tick), attributes))
        }
        for nine in 0...Int(lastNine) {
            let place = x(Double(nine))
            lines.append(line(place, Self.top, place, bottom, "#f1f2f4"))
            let attributes = "text-anchor=\"middle\" fill=\"#5f6368\""
            lines.append(text(place, bottom + 22, Self.percentile(nine), attributes))
        }
        lines.append(line(Self.left, bottom, Self.left + plotWidth, bottom, "#9aa0a6"))
        lines.append(
            text(
                Self.left + plotWidth / 2, Self.height - 14, "percentile of requests",
                "text-anchor=\"middle\" fill=\"#5f6368\""))
        let labelPlaces = Self.spread(
            curves.map { y($0.points[$0.points.count - 1].microseconds) },
            within: Self.top...bottom)
        for (index, curve) in curves.enumerated() {
            let colour = Self.colours[curve.colour % Self.colours.count]
            let path = curve.points.map {
                "\(Self.number(x($0.nines))),\(Self.number(y($0.microseconds)))"
            }
            let dashes = curve.isDashed ? " stroke-dasharray=\"5 4\"" : ""
            lines.append(
                """
                <polyline points="\(path.joined(separator: " "))" fill="none" \
                stroke="\(colour)" stroke-width="2.25" stroke-linejoin="round" \
                stroke-linecap="round"\(dashes)/>
                """)
            let last = curve.points[curve.points.count - 1]
            let (endX, endY) = (x(last.nines), y(last.microseconds))
            let labelX = Self.left + plotWidth + 14
            lines.append(
                "<circle cx=\"\(Self.number(endX))\" cy=\"\(Self.number(endY))\" r=\"3.5\" fill=\"\(colour)\"/>"
            )
            // Leads from the end of the curve to its label.
            lines.append(
                line(
                    endX + 5, endY, labelX - 4, labelPlaces[index], colour,
                    "stroke-opacity=\"0.35\""))
            lines.append(
                text(
                    labelX, labelPlaces[index] + 4.5, curve.label,
                    "fill=\"\(colour)\" font-weight=\"600\""))
        }
        lines.append("</svg>")
        return lines.joined(separator: "\n") + "\n"
    }

    /// 1, 2 and 5 times powers of ten around the values, at least two; powers of ten alone where they
    /// would be many.
    static func ticks(_ lowest: Double, _ highest: Double) -> [Double] {
        var all: [Double] = []
        for power in -1...10 {
            for factor in [1.0, 2, 5] { all.append(factor * pow(10, Double(power))) }
        }
        let first = all.lastIndex { $0 <= lowest } ?? 0
        let last = max(first + 1, all.firstIndex { $0 >= highest } ?? all.count - 1)
        let chosen = Array(all[first...last])
        guard chosen.count > 10 else { return chosen }
        let firstPower = (first / 3) * 3
        let lastPower = min(all.count - 3, (last + 2) / 3 * 3)
        return stride(from: firstPower, through: lastPower, by: 3).map { all[$0] }
    }

    /// Moves labels apart that would lie on each other, as little as that takes, from above to below.
    static func spread(_ places: [Double], within range: ClosedRange<Double>) -> [Double] {
        let distance = 17.0
        var result = places
        let order = places.indices.sorted { places[$0] < places[$1] }
        var least = range.lowerBound
        for index in order {
            result[index] = max(result[index], least)
            least = result[index] + distance
        }
        var most = range.upperBound
        for index in order.reversed() {
            result[index] = min(result[index], most)
            most = result[index] - distance
        }
        return result
    }

    private static func percentile(_ nines: Int) -> String {
        switch nines {
        case 0: "0 %"
        case 1: "90 %"
        case 2: "99 %"
        default: "99." + String(repeating: "9", count: nines - 2) + " %"
        }
    }

    private static func duration(_ microseconds: Double) -> String {
        func short(_ value: Double) -> String {
            value == value.rounded() ? String(Int(value)) : String(format: "%.1f", value)
        }
        if microseconds >= 1e6 { return short(microseconds / 1e6) + " s" }
        if microseconds >= 1e3 { return short(microseconds / 1e3) + " ms" }
        return short(microseconds) + " µs"
    }

    private static func number(_ value: Double) -> String { String(format: "%.1f", value) }

    private func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ colour: String,
        _ attributes: String = ""
    ) -> String {
        let ends = [("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)]
        let places = ends.map { "\($0.0)=\"\(Self.number($0.1))\"" }.joined(separator: " ")
        return "<line \(places) stroke=\"\(colour)\" \(attributes)/>"
    }

    private func text(_ x: Double, _ y: Double, _ text: String, _ attributes: String) -> String {
        let escaped = text.replacingOccurrences(of: "&", with: "&amp;")
            .replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
        return
            "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" \(attributes)>\(escaped)</text>"
    }
}
