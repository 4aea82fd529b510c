import Foundation
import Models
import TestSupport

/// The CDNOW 1/10 sample, read from the data folder: orders are customer-days, calibration ends
/// 1997-09-30, hold-out ends 1998-06-30.
struct CDNOWSample {
    var x: [Int32] = []
    var tx: [Int32] = []
    var age: [Int32] = []
    var mean: [Double] = []
    var holdout: [Int32] = []

    static let shared = CDNOWSample()

    /// What a test of it is enabled by, so that it is reported as skipped where the file is absent.
    static var isHere: Bool { shared != nil }

    private init?() {
        guard let url = TestData.file("cdnow/CDNOW_sample.txt"),
            let text = try? String(contentsOf: url, encoding: .utf8)
        else { return nil }
        let asOf = Self.day(19_970_930)
        var orders: [String: [Int: Double]] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let fields = line.split(separator: " ")
            guard fields.count == 5, let date = Int(fields[2]), let value = Double(fields[4])
            else { continue }
            orders[String(fields[1]), default: [:]][Self.day(date), default: 0] += value
        }
        for (_, days) in orders.sorted(by: { $0.key < $1.key }) {
            let past = days.keys.filter { $0 <= asOf }.sorted()
            guard let first = past.first, let last = past.last else { continue }
            x.append(Int32(past.count - 1))
            tx.append(Int32(last - first))
            age.append(Int32(asOf - first))
            let spent = past.dropFirst().reduce(0) { $0 + (days[$1] ?? 0) }
            mean.append(past.count > 1 ? spent / Double(past.count - 1) : 0)
            holdout.append(Int32(days.count - past.count))
        }
    }

    /// Days since 0000-03-01, from yyyymmdd.
    private static func day(_ date: Int) -> Int {
        let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100)
        let y = month <= 2 ? year - 1 : year
        return 365 * y + y / 4 - y / 100 + y / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day
    }

    func collapsed() throws -> CollapsedHistory {
        try CollapsedHistory(
            repeatPurchaseCount: x, ageAtLastPurchaseDays: tx, observedAgeDays: age)
    }
}
