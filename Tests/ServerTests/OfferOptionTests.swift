import PatronClient
import Testing
import Wire

/// What an offer request may ask for: the client says so before it sends, the server of any frame.
@Suite struct OfferOptionTests {
    private func options(_ change: (inout OfferOptions) -> Void) -> OfferOptions {
        var options = OfferOptions()
        change(&options)
        return options
    }

    @Test func whatCannotBeMeantIsNotSent() async throws {
        let wrong: [(OfferOptions, String, String)] = [
            (options { $0.lowestPrice = .nan }, "lowestPrice", "not nan"),
            (options { $0.lowestPrice = -1 }, "lowestPrice", "not -1.0"),
            (options { $0.lowestPrice = 1e-9 }, "lowestPrice", "nil for no limit"),
            (options { $0.highestPrice = .nan }, "highestPrice", "not nan"),
            (options { $0.highestPrice = .infinity }, "highestPrice", "not inf"),
            (options { $0.highestPrice = -0.01 }, "highestPrice", "not -0.01"),
            (options { $0.highestPrice = 0 }, "highestPrice", "nil for no limit"),
            (options { $0.highestPrice = 0.00004 }, "highestPrice", "nil for no limit"),
            (options { $0.highestPrice = 1e15 }, "highestPrice", "9e14"),
            (
                options { ($0.lowestPrice, $0.highestPrice) = (5, 4) }, "lowestPrice",
                "above highestPrice, 4"
            ),
            (options { $0.largestRatio = .nan }, "largestRatio", "not nan"),
            (options { $0.largestRatio = 1 }, "largestRatio", "not 1.0"),
            (options { $0.largestRatio = 700 }, "largestRatio", "not 700.0"),
            (
                options { $0.categories = [String](repeating: "a", count: 1_025) }, "categories",
                "not 1025"
            ),
            (
                options { $0.categories = ["a", String(repeating: "é", count: 2_049)] },
                "categories[1]", "not 4098"
            ),
            (
                options { $0.boughtSince = [PatronID](repeating: .integer(1), count: 1_025) },
                "boughtSince", "not 1025"
            ),
            (
                options { $0.boughtSince = [.text(String(repeating: "x", count: 1_025))] },
                "boughtSince[0]", "not 1025"
            ),
        ]
        try await withServer { server in
            let connection = try await server.connect()
            for (options, name, reason) in wrong {
                let error = await #expect(throws: PatronError.self, "\(name)") {
                    try await connection.offerProducts(customer: .integer(id(1)), options)
                }
                guard case .invalidOption(name, let text)? = error else {
                    Issue.record("\(name): \(String(describing: error))")
                    continue
                }
                #expect(text.contains(reason), "\(name) \(text)")
            }
            // No limits; this snapshot has no prices to limit.
            let all = try await connection.offerProducts(
                customer: .integer(id(1)), count: 5, options { $0.lowestPrice = 0 })
            #expect(all.entries.count == 5)
            await connection.close()
        }
    }

    /// Frames that no client of ours makes.
    @Test func theServerNamesTheField() async throws {
        try await withServer { server in
            let raw = try RawConnection(port: server.port)
            try await raw.sayHello()
            var prices = OfferProductsRequest(id: .integer(id(1)), count: 5)
            prices.lowestPrice = -1
            var highest = OfferProductsRequest(id: .integer(id(1)), count: 5)
            highest.highestPrice = -1
            var band = highest
            (band.lowestPrice, band.highestPrice) = (2, 1)
            var ratio = OfferProductsRequest(id: .integer(id(1)), count: 5)
            ratio.largestRatioPercent = 100
            for (number, (request, field)) in [
                (prices, "lowestPrice"), (highest, "highestPrice"), (band, "highestPrice"),
                (ratio, "largestRatio"),
            ].enumerated() {
                raw.send(frame(.offerProducts(request), UInt32(number + 2)))
                let answer = try #require(try await raw.receive())
                guard case .failure(_, let status, let body) = answer.response else {
                    Issue.record("\(field): \(answer.response)")
                    continue
                }
                #expect(status == .valueOutOfRange)
                #expect(body.field == field && body.text.contains(field))
            }
        }
    }
}
