import Foundation
import Testing
import Wire

/// protocol/WIRE.md says what the code does: its examples are the vectors' bytes and its tables
/// the code's numbers.
struct SpecificationTests {
    static let text =
        (try? String(
            contentsOf: GoldenVectorTests.folder.deletingLastPathComponent()
                .deletingLastPathComponent().appendingPathComponent("WIRE.md"), encoding: .utf8))
        ?? ""
    static let lines = text.components(separatedBy: "\n")

    @Test func examplesAreTheVectors() throws {
        var names: Set<String> = []
        var index = 0
        while index < Self.lines.count {
            let line = Self.lines[index]
            index += 1
            guard line.hasPrefix("```hex ") else { continue }
            let name = String(line.dropFirst(7))
            var bytes: [UInt8] = []
            while Self.lines[index] != "```" {
                let fields = Self.lines[index].split(separator: " ")
                #expect(Int(fields[0], radix: 16) == bytes.count)
                bytes += fields.dropFirst().compactMap { UInt8($0, radix: 16) }
                index += 1
            }
            let file = GoldenVectorTests.folder.appendingPathComponent("ok/\(name).bin")
            #expect(try [UInt8](Data(contentsOf: file)) == bytes, "\(name)")
            names.insert(name)
        }
        #expect(names.count >= 15)
    }

    /// Whether a table row with these first two cells is there.
    static func hasRow(_ number: String, _ name: String) -> Bool {
        lines.contains { $0.hasPrefix("| \(number) | \(name) |") }
    }

    @Test func numbersAreThoseOfTheTables() {
        for (status, name) in Status.table {
            #expect(Self.hasRow("\(status.rawValue)", name), "\(name)")
            #expect(status.description == name)
        }
        let listed = Self.lines.compactMap { line -> UInt32? in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            return cells.count == 3 || cells.count == 2 ? UInt32(cells[0]) : nil
        }.filter { $0 > 100 }
        #expect(Set(listed) == Set(Status.table.map(\.status.rawValue).filter { $0 > 0 }))
        for statusClass in StatusClass.allCases {
            #expect(Self.hasRow("\(statusClass.rawValue)", "\(statusClass)"))
        }
        for opcode in Opcode.allCases {
            let digits = String(opcode.rawValue, radix: 16)
            let number = "0x" + String(repeating: "0", count: 4 - digits.count) + digits
            #expect(Self.hasRow(number, opcode.name), "\(opcode.name)")
        }
        for status in ScoreStatus.allCases {
            #expect(Self.hasRow("\(status.rawValue)", "\(status)"))
        }
    }

    @Test func classesDecideWhetherAConnectionCloses() {
        for (status, name) in Status.table {
            #expect(status.closesConnection == (700..<800).contains(status.rawValue), "\(name)")
        }
        #expect(Status(rawValue: 499).statusClass == .overloaded)
        #expect(Status(rawValue: 9_900).statusClass == .internalError)
        #expect(Status(rawValue: 499).description == "status 499")
    }

    @Test func errorsSayWhatAndWhere() {
        let error = WireError.valueOutOfRange(
            field: .idKind, actual: 3, range: 1...2, byteOffset: 0)
        #expect(error.description == "idKind 3 at byte 0, valid 1 to 2")
        #expect(error.field == .idKind)
        #expect(error.byteOffset == 0)
        #expect(!error.closesConnection)
        #expect(
            WireError.badMagic(actual: 0x2F20).description
                == "magic 0x2f20 instead of 0x50d7: not this protocol")
    }
}
