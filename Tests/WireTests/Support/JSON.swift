import ByteCoding
import Wire

/// A JSON value whose text is the same on every platform: keys in the order given.
indirect enum JSON {
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    case real(Double)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])

    func text(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .unsigned(let value): return String(value)
        case .real(let value): return String(value)
        case .string(let value): return Self.quoted(value)
        case .array(let items):
            return "[" + items.map { $0.text(indent: inner) }.joined(separator: ", ") + "]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let lines = members.map { inner + Self.quoted($0.0) + ": " + $0.1.text(indent: inner) }
            return "{\n" + lines.joined(separator: ",\n") + "\n" + indent + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\" + String(scalar)
            case _ where scalar.value < 32:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    static func hex(_ bytes: [UInt8]) -> JSON {
        .string(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
    }
}

// What the messages mean, in the words of protocol/WIRE.md: the vectors' JSON files.

func meaning(_ item: MetaItem) -> JSON? {
    switch item {
    case .idempotencyKey(let bytes): .object([("idempotencyKey", .hex(bytes))])
    case .traceID(let bytes): .object([("traceID", .hex(bytes))])
    case .priority(let value): .object([("priority", .integer(Int64(value)))])
    case .warning(let text): .object([("warning", .string(text))])
    case .retryAfterMilliseconds(let value):
        .object([("retryAfterMilliseconds", .integer(Int64(value)))])
    case .timings(let queue, let compute, let encode):
        .object([
            (
                "timings",
                .object([
                    ("queueMicroseconds", .integer(Int64(queue))),
                    ("computeMicroseconds", .integer(Int64(compute))),
                    ("encodeMicroseconds", .integer(Int64(encode))),
                ])
            )
        ])
    case .modelLabel(let label): .object([("modelLabel", .string(label))])
    case .raw: nil
    }
}

func meaning(_ id: EntityID) -> JSON {
    switch id {
    case .integer(let value): .integer(value)
    case .text(let value): .string(value)
    }
}

func meaning(_ request: Request) -> JSON {
    switch request {
    case .hello(let message):
        return .object([
            ("minimumVersion", .integer(Int64(message.minimumVersion))),
            ("maximumVersion", .integer(Int64(message.maximumVersion))),
            ("maximumFrameBytes", .integer(Int64(message.maximumFrameBytes))),
            ("requiredFeatures", .unsigned(message.requiredFeatures.rawValue)),
            ("optionalFeatures", .unsigned(message.optionalFeatures.rawValue)),
            ("token", message.token.map { .hex($0) } ?? .null),
            ("clientName", .string(message.clientName)),
        ])
    case .ping(let message): return .object([("token", .unsigned(message.token))])
    case .describe: return .object([])
    case .lookup(let message):
        return .object([
            ("idKind", .integer(Int64(message.ids.kind.rawValue))),
            ("leavesOutUnknownColumns", .bool(message.leavesOutUnknownColumns)),
            (
                "columns",
                message.columns.map { .array($0.map { .integer(Int64($0.rawValue)) }) } ?? .null
            ),
            ("ids", .array((0..<message.ids.count).map { meaning(message.ids[$0]) })),
        ])
    case .topProducts(let message), .topCustomers(let message):
        return .object([
            ("id", meaning(message.id)), ("count", .integer(Int64(message.count))),
            ("excludesPurchased", .bool(message.excludesPurchased)),
        ])
    case .similar(let message):
        return .object([
            ("id", meaning(message.id)), ("count", .integer(Int64(message.count))),
            ("subject", .string("\(message.subject)")),
        ])
    case .offerProducts(let message):
        return .object([
            ("id", meaning(message.id)), ("count", .integer(Int64(message.count))),
            ("offer", .string("\(message.offer)")), ("rank", .string("\(message.rank)")),
            ("bought", .string("\(message.bought)")),
            ("includesOutOfStock", .bool(message.includesOutOfStock)),
            ("lowestPrice", .integer(message.lowestPrice)),
            ("highestPrice", .integer(message.highestPrice)),
            ("largestRatioPercent", .integer(Int64(message.largestRatioPercent))),
            ("categories", .array(message.categories.map { .string($0) })),
            ("boughtSince", .array(message.boughtSince.map { .string($0) })),
        ])
    case .offerCustomers(let message):
        return .object([
            ("id", meaning(message.id)), ("count", .integer(Int64(message.count))),
            ("rank", .string("\(message.rank)")),
            ("excludesPurchasers", .bool(message.excludesPurchasers)),
            ("isPromoted", .bool(message.isPromoted)),
        ])
    case .segments(let message), .segmentProfiles(let message):
        return .object([("segmentation", message.segmentation.map { .string($0) } ?? .null)])
    case .count(let message): return .object([("rule", .string(message.rule))])
    case .score(let message):
        return .object([
            (
                "columns",
                message.columns.map {
                    .array($0.map { .integer(Int64($0.rawValue)) })
                } ?? .null
            ),
            ("attributes", .array(message.attributes.map { .string($0) })),
            ("table", meaning(message.table)),
        ])
    case .explain(let message):
        return .object([
            ("id", meaning(message.id)), ("segmentation", .string(message.segmentation)),
        ])
    case .audience(let message), .scan(let message):
        return .object([
            ("credit", .integer(Int64(message.credit))),
            (
                "columns",
                message.columns.map { .array($0.map { .integer(Int64($0.rawValue)) }) } ?? .null
            ),
            ("resumeToken", message.resumeToken.map { meaning($0) } ?? .null),
            ("rule", message.rule.map { .string($0) } ?? .null),
        ])
    case .append(let message):
        return .object([
            ("decimals", .integer(Int64(message.decimals))),
            ("currency", .string(message.currency)), ("table", meaning(message.lines)),
        ])
    case .erase(let message):
        return .object([
            ("idKind", .integer(Int64(message.ids.kind.rawValue))),
            ("ids", .array((0..<message.ids.count).map { meaning(message.ids[$0]) })),
        ])
    case .credit(let message): return .object([("credit", .integer(Int64(message.credit)))])
    case .cancel, .snapshot, .stats, .drain: return .object([])
    case .models(let message): return meaning(message)
    case .publish(let message):
        return .object([("generation", .unsigned(message.generation))])
    case .shadow(let message): return meaning(message)
    }
}

func meaning(_ token: ResumeToken) -> JSON {
    var bytes = ByteWriter()
    for index in token.words.indices { bytes.append(token.words[index]) }
    return .hex(bytes.bytes)
}

func meaning(_ stamp: SnapshotStamp) -> JSON {
    .object([
        ("generation", .unsigned(stamp.generation)), ("asOfDay", .integer(Int64(stamp.asOfDay))),
        ("currency", .string(stamp.currency)),
        (
            "models",
            .array(
                stamp.models.map {
                    .object([
                        ("name", .string($0.name)), ("version", .integer(Int64($0.version))),
                        ("checksum", .integer(Int64($0.checksum))),
                    ])
                })
        ),
    ])
}

func meaning(_ column: WireColumn, row: Int) -> JSON {
    guard column.isValid(row) else { return .null }
    return switch column.values {
    case .int32(let values): .integer(Int64(values[row]))
    case .int64(let values): .integer(values[row])
    case .float32(let values): .real(Double(values[row]))
    case .float64(let values): .real(values[row])
    case .text(let values): .string(values[row])
    }
}

func meaning(_ table: Table) -> JSON {
    .object([
        ("rowCount", .integer(Int64(table.rowCount))),
        ("subjectStatus", .integer(Int64(table.subjectStatus))),
        (
            "columns",
            .array(
                table.columns.map { column in
                    .object([
                        ("id", .integer(Int64(column.id.rawValue))),
                        ("type", .integer(Int64(column.values.type.rawValue))),
                        (
                            "values",
                            .array((0..<table.rowCount).map { meaning(column, row: $0) })
                        ),
                    ])
                })
        ),
    ])
}

func meaning(_ error: ErrorBody) -> JSON {
    .object([
        ("text", .string(error.text)), ("hint", .string(error.hint)),
        ("field", .string(error.field)),
        ("byteOffset", error.byteOffset.map { .integer(Int64($0)) } ?? .null),
        ("generation", .unsigned(error.generation)),
    ])
}

func meaning(_ response: Response) -> JSON {
    switch response {
    case .hello(let message):
        return .object([
            ("version", .integer(Int64(message.version))),
            ("maximumFrameBytes", .integer(Int64(message.maximumFrameBytes))),
            ("activeFeatures", .unsigned(message.activeFeatures.rawValue)),
            ("offeredFeatures", .unsigned(message.offeredFeatures.rawValue)),
            ("maximumLookupIDs", .integer(Int64(message.maximumLookupIDs))),
            ("maximumInFlight", .integer(Int64(message.maximumInFlight))),
            ("idleMilliseconds", .integer(Int64(message.idleMilliseconds))),
            (
                "defaultDeadlineMilliseconds",
                .integer(Int64(message.defaultDeadlineMilliseconds))
            ),
            ("generation", .unsigned(message.generation)),
            ("asOfDay", .integer(Int64(message.asOfDay))),
            ("serverName", .string(message.serverName)),
        ])
    case .ping(let message):
        return .object([
            ("token", .unsigned(message.token)), ("generation", .unsigned(message.generation)),
        ])
    case .goAway(_, let message):
        return .object([
            ("graceMilliseconds", .integer(Int64(message.graceMilliseconds))),
            ("reason", meaning(message.reason)),
        ])
    case .describe(let message): return meaning(message)
    case .explain(let answer):
        return .object([
            ("stamp", meaning(answer.stamp)), ("segment", .integer(Int64(answer.segment))),
            ("nextSegment", answer.nextSegment.map { .integer(Int64($0)) } ?? .null),
            ("distance", answer.distance.map { .real($0) } ?? .null),
            ("nextDistance", answer.nextDistance.map { .real($0) } ?? .null),
            ("modelVersion", .integer(Int64(answer.modelVersion))),
            ("table", meaning(answer.table)),
        ])
    case .lookup(let answer), .score(let answer), .topProducts(let answer),
        .topCustomers(let answer), .similar(let answer), .segments(let answer),
        .segmentProfiles(let answer),
        .offerProducts(let answer), .offerCustomers(let answer), .models(let answer),
        .snapshot(let answer), .stats(let answer):
        return .object([("stamp", meaning(answer.stamp)), ("table", meaning(answer.table))])
    case .count(let answer):
        return .object([
            ("stamp", meaning(answer.stamp)),
            ("matchingCustomers", .unsigned(answer.matchingCustomers)),
            ("customerCount", .unsigned(answer.customerCount)),
        ])
    case .audience(let chunk), .scan(let chunk):
        return .object([
            ("stamp", meaning(chunk.stamp)),
            ("scannedCustomers", .unsigned(chunk.scannedCustomers)),
            ("resumeToken", meaning(chunk.resumeToken)), ("table", meaning(chunk.table)),
        ])
    case .append(let answer):
        return .object([
            ("stamp", meaning(answer.stamp)),
            ("sequence", answer.sequence.map { .unsigned($0) } ?? .null),
            ("acceptedLines", .integer(Int64(answer.acceptedLines))),
            ("refusedLines", .integer(Int64(answer.refusedLines))),
            ("isRepeat", .bool(answer.isRepeat)), ("table", meaning(answer.refusals)),
        ])
    case .erase(let answer):
        return .object([
            ("stamp", meaning(answer.stamp)), ("sequence", .unsigned(answer.sequence)),
            ("erasedAt", .integer(answer.erasedAt)), ("isRepeat", .bool(answer.isRepeat)),
            ("table", meaning(answer.found)),
        ])
    case .publish(let answer):
        return .object([
            ("stamp", meaning(answer.stamp)),
            ("previousGeneration", .unsigned(answer.previousGeneration)),
            ("verifiedByteCount", .unsigned(answer.verifiedByteCount)),
        ])
    case .drain(let answer):
        return .object([("graceMilliseconds", .integer(Int64(answer.graceMilliseconds)))])
    case .shadow(let report): return meaning(report)
    case .progress(let message): return meaning(message)
    case .failure(_, _, let body): return meaning(body)
    }
}

private func meaning(_ message: DescribeResponse) -> JSON {
    var facts: [(String, JSON)] = [
        ("stamp", meaning(message.stamp)),
        ("customerCount", .unsigned(message.customerCount)),
        ("productCount", .unsigned(message.productCount)),
        ("customerIDKind", .integer(Int64(message.customerIDKind?.rawValue ?? 0))),
        ("productIDKind", .integer(Int64(message.productIDKind?.rawValue ?? 0))),
    ]
    if let affinity = message.affinity {
        let variant: Int64 =
            switch affinity.variant {
            case .factors: 1
            case .hybrid: 2
            case .popular: 3
            case .repeatPurchase: 4
            case .other(let number): Int64(number)
            }
        let offers = JSON.unsigned(UInt64(affinity.offers.rawValue))
        facts.append(("affinity", .object([("variant", .integer(variant)), ("offers", offers)])))
    }
    let columns = message.columns.map { column in
        var column: [(String, JSON)] = [
            ("id", .integer(Int64(column.id.rawValue))),
            ("name", .string(column.name)),
            ("type", .integer(Int64(column.type.rawValue))),
            ("unit", .string(column.unit)),
            ("description", .string(column.description)),
            ("valueNames", .string(column.valueNames)),
        ]
        if case .string("")? = column.last?.1 { column.removeLast() }
        return JSON.object(column)
    }
    facts.append(("columns", .array(columns)))
    return .object(facts)
}
