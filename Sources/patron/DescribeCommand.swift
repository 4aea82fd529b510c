import ArgumentParser
import PatronClient
import Units

struct Describe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a snapshot can answer: columns, segments, models, offers.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    struct Answer: Encodable, Sendable {
        struct Model: Encodable, Sendable {
            var name: String
            var version: UInt32
        }

        struct Affinity: Encodable, Sendable {
            var variant: String
            /// What can be asked for, in the words of `top-products` and `top-customers`.
            var offers: [String]
        }

        struct Column: Encodable, Sendable {
            var id: UInt16
            var name: String
            var unit: String
            var description: String
            /// What its numbers are called, by the number; nil for quantities.
            var valueNames: [String: String]?
        }

        var generation: UInt64
        var asOf: String
        var currency: String
        var customerCount: Int
        var customerIDKind: String?
        var productCount: Int
        var productIDKind: String?
        var models: [Model]
        var affinity: Affinity?
        var columns: [Column]
    }

    func run() async throws {
        let answer = try await connection.withConnection { Answer(try await $0.describe()) }
        try output.print(answer) { $0.text }
    }
}

extension Describe.Answer {
    fileprivate init(_ description: Description) {
        let snapshot = description.snapshot
        self.init(
            generation: snapshot.generation,
            asOf: CalendarDay(daysSince1970: snapshot.asOfDay).description,
            currency: snapshot.currency, customerCount: description.customerCount,
            customerIDKind: description.customerIDKind.map { "\($0)" },
            productCount: description.productCount,
            productIDKind: description.productIDKind.map { "\($0)" },
            models: snapshot.models.map { Model(name: $0.name, version: $0.version) },
            affinity: description.affinity.map(Affinity.init),
            columns: description.columns.map {
                Column(
                    id: $0.id, name: $0.name, unit: $0.unit, description: $0.description,
                    valueNames: Lookup.names($0.valueNames))
            })
    }

    fileprivate var text: String {
        var lines = [
            "generation \(generation), as of \(asOf), \(currency)",
            "\(customerCount) customers\(customerIDKind.map { " (\($0) ids)" } ?? ""), "
                + "\(productCount) products\(productIDKind.map { " (\($0) ids)" } ?? "")",
            "models: "
                + (models.isEmpty
                    ? "none"
                    : models.map { "\($0.name) version \($0.version)" }.joined(separator: ", ")),
        ]
        if let affinity {
            lines.append(
                "affinity: \(affinity.variant)"
                    + (affinity.offers.isEmpty
                        ? "" : "; offers: " + affinity.offers.joined(separator: ", ")))
        }
        var table = TextTable(["column", "unit", "description"])
        for column in columns {
            let names = (column.valueNames ?? [:])
                .sorted { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }
                .map { "\($0.key) \($0.value)" }
            let description = names.isEmpty ? "" : " (\(names.joined(separator: ", ")))"
            table.add([column.name, column.unit, column.description + description])
        }
        return lines.joined(separator: "\n") + "\n" + table.text
    }
}

extension Describe.Answer.Affinity {
    fileprivate init(_ affinity: Description.Affinity) {
        let offers: [(Bool, String)] = [
            (affinity.hasDetails, "category and price, cross-sell, up-sell"),
            (affinity.hasProbabilities, "purchase probability and expected margin"),
            (affinity.takesBoughtSince, "products bought since"),
            (affinity.hasPromotions, "customers under promotion"),
            (affinity.findsSimilar, "similar customers and products"),
            (affinity.servesColdCustomers, "customers without purchases"),
            (affinity.servesColdProducts, "products without purchases"),
        ]
        self.init(variant: affinity.variant, offers: offers.filter(\.0).map(\.1))
    }
}
