import Engine
import Foundation
import Models
import Numerical
import Units

/// Customers of two channels and of many ages, whose rates of purchase and of leaving depend on both
/// as a model with covariates says.
struct CovariateWorld {
    /// Weeks; of a customer of the store at the age of 45.
    static let alpha = 12.0
    static let beta = 80.0
    static let b = 5.0
    /// γ of purchases: of the web, of a year.
    static let web = 0.7
    static let year = 0.02
    /// γ of leaving of the web: of beta, or of b, where more means to stay.
    static let leaving = 0.8
    static let staying = -0.7

    static let lastDay = day("2021-12-31")
    static let header = "customer,channel,age"
    static let attributes = ["channel: text", "age: number"]

    var lines: [PlantedLine] = []
    var customers = [header]

    /// r = 1 and s = 1 of Pareto/NBD, a = 1 of BG/NBD.
    init(_ kind: PurchaseModelKind, count: Int, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func exponential(_ rate: Double) -> Double { -log(1 - random.uniform()) / rate }
        for customer in 0..<count {
            let isWeb = random.uniform() < 0.4
            let age = 20 + random.below(50)
            let start = Self.lastDay.daysSince1970 - 365 - random.below(365)
            let slope = (isWeb ? Self.web : 0) + Self.year * Double(age - 45)
            let rate = exponential(Self.alpha * exp(-slope))
            let life =
                kind == .paretonbd
                ? exponential(exponential(Self.beta * exp(isWeb ? -Self.leaving : 0))) : .infinity
            let b = Self.b * exp(isWeb ? Self.staying : 0)
            let dropOut =
                kind == .paretonbd ? 0 : 1 - exp(log(1 - random.uniform()) / b)
            let value = 10 + exponential(0.05)
            var time = 0.0
            var isAlive = true
            while isAlive {
                let day = start + Int(time * 7)
                guard day <= Self.lastDay.daysSince1970 else { break }
                let cents = Int64(value * (0.5 + random.uniform()) * 100)
                lines.append(
                    PlantedLine(customer: Int64(customer), day: day, amount: cents * 100))
                if time > 0, random.uniform() < dropOut { isAlive = false }
                time += exponential(rate)
                if time > life { isAlive = false }
            }
            customers.append("\(customer),\(isWeb ? "web" : "store"),\(age)")
        }
    }

    static func settings(_ lifetime: String) -> String {
        "lifetime: {\(lifetime)}\nsegmentations: {}"
    }
}

/// The lines of a score file by customer and column.
struct ScoreTable {
    private let columns: [Substring]
    private var rows: [Substring: [Substring]] = [:]
    let text: String

    init(_ path: String) throws {
        text = try String(contentsOfFile: path, encoding: .utf8)
        let lines = text.split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false)
        }
        columns = lines[0]
        for line in lines.dropFirst() { rows[line[0]] = line }
    }

    func callAsFunction(_ customer: some CustomStringConvertible, _ column: String) -> Double? {
        guard let place = columns.firstIndex(where: { $0 == column }) else { return nil }
        return rows[customer.description[...]].flatMap { Double($0[place]) }
    }

    func sum(_ column: String) -> Double {
        rows.keys.reduce(0) { $0 + (self($1, column) ?? 0) }
    }
}
