// What an internal service does with Patron: one pool for the life of the process, asked by any
// number of tasks at once.
//
//     swift run -c release LookupExample 127.0.0.1:7070 17850 13047
//
// Several servers of the same workspace are separated by commas. A token is taken from PATRON_TOKEN.

import Foundation
import PatronClient

@main
struct LookupExample {
    static func main() async {
        var arguments = CommandLine.arguments.dropFirst()
        guard let servers = arguments.popFirst(), !arguments.isEmpty else {
            fail("usage: LookupExample HOST:PORT[,HOST:PORT …] CUSTOMER …", code: 64)
        }
        do throws(PatronError) {
            var options = PatronPoolOptions(servers: servers.split(separator: ",").map(server))
            options.token = ProcessInfo.processInfo.environment["PATRON_TOKEN"]
            options.clientName = "lookup-example"
            options.deadline = .milliseconds(500)
            let patron = try PatronPool(options)
            try await serve(patron, customers: Array(arguments))
            await patron.close()
        } catch {
            fail("\(error)", code: 69)
        }
    }

    /// The life of a service in small: what is asked in the beginning, and requests of many tasks.
    static func serve(_ patron: PatronPool, customers: [String]) async throws(PatronError) {
        // Columns are asked for by number; the names are the snapshot's.
        let known = try await patron.describe()
        let wanted = known.columns.filter {
            ["lifetime_value", "churn_probability", "value_segment"].contains($0.name)
        }
        let columns = wanted.map(\.id)
        print("generation \(known.snapshot.generation), \(known.customerCount) customers")
        var ids: [PatronID] = []
        for text in customers {
            if known.customerIDKind != .integer {
                ids.append(.text(text))
            } else if let number = Int64(text) {
                ids.append(.integer(number))
            } else {
                print("\(text): ids are whole numbers here")
            }
        }
        // As requests of a web service would come: each asks for one customer, and what comes
        // together goes to the server in one frame.
        await withTaskGroup(of: String.self) { requests in
            for id in ids {
                requests.addTask {
                    do throws(PatronError) {
                        let customer = try await patron.lookupOne(id, columns: columns)
                        let values = wanted.map { column in
                            "\(column.name) \(customer.text(column.id) ?? "–")"
                        }
                        return "\(id) (\(customer.status)): \(values.joined(separator: ", "))"
                    } catch {
                        return "\(id): \(error)"
                    }
                }
            }
            for await line in requests { print(line) }
        }
    }

    static func server(_ text: Substring) -> PatronAddress {
        let parts = text.split(separator: ":")
        let port = parts.count > 1 ? parts.last.flatMap { Int($0) } : 7070
        return PatronAddress(host: String(parts.first ?? ""), port: port ?? 0)
    }

    static func fail(_ text: String, code: Int32) -> Never {
        FileHandle.standardError.write(Data((text + "\n").utf8))
        exit(code)
    }
}
