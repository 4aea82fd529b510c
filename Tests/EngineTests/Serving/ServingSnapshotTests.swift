import ByteCoding
import ColumnStore
import Engine
import Foundation
import TestSupport
import Testing

@Suite struct ServingSnapshotTests {
    /// Requests write ids as texts, integers by their digits. This snapshot has no factors to fold
    /// purchases into: that it says so means that it knows the product.
    @Test func productsBoughtSinceMayHaveIntegerIDs() throws {
        try withTemporaryFolder { folder in
            var contents = sampleContents()
            contents.affinity?.productIDs = .integers((0..<12).map { 500 - 3 * Int64($0) })
            let location = try SnapshotWriter.write(contents, into: folder.path)
            let snapshot = try ServingSnapshot(location)
            #expect(snapshot.affinity?.productIDsAreTexts == false)
            func flaw(_ ids: [String]) -> OfferFlaw? {
                var request = OfferRequest()
                request.boughtSince = ids
                do throws(OfferFlaw) {
                    _ = try snapshot.offers(customer: .integer(1_000), request)
                    return nil
                } catch {
                    return error
                }
            }
            let lacks = OfferFlaw.lacks("factors that purchases can be folded into")
            #expect(flaw(["500", "467"]) == lacks)
            for unknown in ["501", "P1", "", "500.0", "99999999999999999999"] {
                #expect(flaw(["500", unknown]) == .unknownProduct, "\(unknown)")
            }
        }
    }

    @Test(arguments: [0, 1, 3, 40], [false, true])
    func everythingComesBack(customerCount: Int, textIDs: Bool) throws {
        try withTemporaryFolder { folder in
            let contents = sampleContents(customerCount: customerCount, textIDs: textIDs)
            let location = try SnapshotWriter.write(contents, into: folder.path)
            #expect(location.folder.hasSuffix("/gen-000001"))
            let snapshot = try ServingSnapshot(location)
            #expect(snapshot.generation == 1)
            #expect(snapshot.asOf == contents.asOf)
            #expect(snapshot.currency == "GBP")
            #expect(snapshot.models == contents.models)
            #expect(snapshot.segments == contents.segments)
            #expect(snapshot.customerCount == customerCount)
            #expect(snapshot.productCount == 12)
            #expect(snapshot.columns.map(\.id) == [2, 10, 13])
            #expect(snapshot.columns.map(\.unit) == ["probability", "GBP", "segment"])
            #expect(snapshot.descriptor.columnDescriptions == ["Still a customer", "", ""])
            for row in 0..<customerCount {
                #expect(snapshot.row(of: contents.customerIDs[row]) == row)
                #expect(snapshot.strip.status(row: row) == contents.status[row])
                for (index, column) in contents.columns.enumerated() {
                    #expect(
                        snapshot.strip.value(field: index, row: row) == column.value(row),
                        "\(column.name), row \(row)")
                }
            }
            #expect(snapshot.row(of: .integer(5)) == nil)
            #expect(snapshot.row(of: .text("nobody")) == nil)
        }
    }

    @Test(arguments: [true, false])
    func topProductsAreTheBestOfAll(excludesPurchased: Bool) throws {
        try withOpened(sampleContents()) { snapshot, contents in
            let affinity = try #require(contents.affinity)
            for row in 0..<snapshot.customerCount {
                let bought = affinity.purchased(row)
                let top = snapshot.topProducts(
                    customer: contents.customerIDs[row], count: 4,
                    excludesPurchased: excludesPurchased)
                guard !bought.isEmpty else {
                    #expect(top == TopProducts(status: .tooLittleHistory))
                    continue
                }
                let expected = best(
                    4, of: (0..<12).filter { !excludesPurchased || !bought.contains($0) }
                ) { affinity.score(customer: row, product: $0) }
                #expect(top.status == .ok)
                #expect(top.products == expected)
            }
        }
    }

    @Test(arguments: [true, false])
    func topCustomersAreTheBestOfAll(excludesPurchasers: Bool) throws {
        try withOpened(sampleContents()) { snapshot, contents in
            let affinity = try #require(contents.affinity)
            for product in 0..<12 {
                let top = snapshot.topCustomers(
                    product: .text("P\(product)"), count: 7, excludesPurchasers: excludesPurchasers)
                let eligible = (0..<40).filter {
                    let bought = affinity.purchased($0)
                    return !bought.isEmpty && !(excludesPurchasers && bought.contains(product))
                }
                #expect(
                    top
                        == best(7, of: eligible) {
                            affinity.score(customer: $0, product: product)
                        })
            }
        }
    }

    @Test func askingForMoreThanThereIsGivesAll() throws {
        try withOpened(sampleContents()) { snapshot, contents in
            let top = snapshot.topProducts(
                customer: contents.customerIDs[0], count: 1_000, excludesPurchased: false)
            #expect(top.products.count == 12)
            let customers = snapshot.topCustomers(
                product: .text("P1"), count: 1_000, excludesPurchasers: false)
            #expect(customers?.count == 32)
        }
    }

    @Test func unknownIDsAndMissingModels() throws {
        try withOpened(sampleContents()) { snapshot, _ in
            #expect(
                snapshot.topProducts(customer: .integer(-1), count: 3, excludesPurchased: true)
                    == TopProducts(status: .unknownCustomer))
            #expect(
                snapshot.topCustomers(product: .text("P99"), count: 3, excludesPurchasers: true)
                    == nil)
        }
        try withOpened(sampleContents(hasAffinity: false)) { snapshot, contents in
            #expect(snapshot.affinity == nil)
            #expect(
                snapshot.topProducts(
                    customer: contents.customerIDs[0], count: 3, excludesPurchased: true)
                    == TopProducts(status: .modelNotFitted))
        }
    }

    @Test(arguments: ["SNAPSHOT", "lookup.arr", "affinity.arr", "segments.json"])
    func everyFlippedBitIsFound(name: String) throws {
        try withTemporaryFolder { folder in
            let location = try SnapshotWriter.write(sampleContents(), into: folder.path)
            let url = URL(fileURLWithPath: location.folder).appendingPathComponent(name)
            let sound = try Data(contentsOf: url)
            for offset in Swift.stride(from: 0, to: sound.count, by: max(1, sound.count / 300)) {
                var damaged = sound
                damaged[offset] ^= 1 << UInt8(offset % 8)
                try damaged.write(to: url)
                try expectRefusal(location, naming: name)
            }
            try sound.write(to: url)
            _ = try ServingSnapshot(location)
        }
    }

    @Test(arguments: ["SNAPSHOT", "lookup.arr", "affinity.arr", "segments.json"])
    func everyTruncationIsFound(name: String) throws {
        try withTemporaryFolder { folder in
            let location = try SnapshotWriter.write(sampleContents(), into: folder.path)
            let url = URL(fileURLWithPath: location.folder).appendingPathComponent(name)
            let sound = try Data(contentsOf: url)
            for count in Swift.stride(from: 0, to: sound.count, by: max(1, sound.count / 100)) {
                try sound.prefix(count).write(to: url)
                try expectRefusal(location, naming: name)
            }
            try (sound + [0]).write(to: url)
            try expectRefusal(location, naming: name)
            try FileManager.default.removeItem(at: url)
            try expectRefusal(location, naming: name)
        }
    }

    @Test func aFlippedBitInAnArrayIsNamedWithItsOffset() throws {
        try withTemporaryFolder { folder in
            let location = try SnapshotWriter.write(sampleContents(), into: folder.path)
            let path = location.folder + "/lookup.arr"
            let entry = try #require(try ArrayFile(path: path).entry("strip.records"))
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[entry.byteOffset + 100] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: EngineError.self) { try ServingSnapshot(location) }
            guard case .store(.checksumMismatch(let named, let offset, _, _, _)) = error else {
                Issue.record("another error: \(String(describing: error))")
                return
            }
            #expect(named == path)
            #expect(offset == entry.byteOffset)
        }
    }

    @Test func aSoundFileOfAnotherGenerationIsRefused() throws {
        try withTemporaryFolder { folder in
            let first = try SnapshotWriter.write(sampleContents(generation: 1), into: folder.path)
            let second = try SnapshotWriter.write(sampleContents(generation: 2), into: folder.path)
            let target = second.folder + "/lookup.arr"
            try FileManager.default.removeItem(atPath: target)
            try FileManager.default.copyItem(atPath: first.folder + "/lookup.arr", toPath: target)
            try expectRefusal(second, naming: "lookup.arr")
            let wrong = SnapshotLocation(generation: 7, folder: first.folder)
            try expectRefusal(wrong, naming: "SNAPSHOT")
        }
    }
}

/// The error names the file and says at which byte.
private func expectRefusal(_ location: SnapshotLocation, naming name: String) throws {
    let error = #expect(throws: EngineError.self) { try ServingSnapshot(location) }
    let text = try #require(error).description
    #expect(text.contains("/" + name), "\(text)")
    let words = ["byte", "No such file", "is not", "version"]
    #expect(words.contains { text.contains($0) }, "\(text)")
}

private func withOpened(
    _ contents: SnapshotContents, _ body: (ServingSnapshot, SnapshotContents) throws -> Void
) throws {
    try withTemporaryFolder { folder in
        try body(
            try ServingSnapshot(try SnapshotWriter.write(contents, into: folder.path)), contents)
    }
}

/// The plain way: score all, sort, take the first.
private func best(
    _ count: Int, of rows: [Int], _ score: (Int) -> Float
) -> [TopEntry] {
    let entries = rows.map { TopEntry(item: Int32($0), score: score($0)) }
    return Array(
        entries.sorted { ($0.score, $1.item) > ($1.score, $0.item) }.prefix(count))
}

extension AffinityContents {
    fileprivate func purchased(_ customer: Int) -> [Int] {
        purchasedProducts[purchasedOffsets[customer]..<purchasedOffsets[customer + 1]].map(Int.init)
    }

    // Factors are multiples of 1/8 below 2, so that every order of summation is exact.
    fileprivate func score(customer: Int, product: Int) -> Float {
        (0..<factorCount).reduce(0) {
            $0 + customerFactors[customer * factorCount + $1]
                * productFactors[product * factorCount + $1]
        }
    }
}

extension ScoreColumn {
    fileprivate func value(_ row: Int) -> Double? {
        guard valid?[row] ?? true else { return nil }
        switch values {
        case .int32(let values): return Double(values[row])
        case .float32(let values): return Double(values[row])
        case .float64(let values): return values[row]
        }
    }
}
