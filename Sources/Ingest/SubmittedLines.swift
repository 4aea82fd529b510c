package import ByteCoding
package import Units

/// Purchase lines as a program sends them, by column: what `PurchaseMapping.validated` turns into
/// the lines of a file that say the same.
package struct SubmittedLines: Sendable {
    package enum Times: Sendable {
        /// Local days since 1970-01-01, each its first second; `Int32.min` for none.
        case days([Int32])
        /// UTC seconds since 1970; `missing` for none.
        case instants([Int64])

        package var count: Int {
            switch self {
            case .days(let values): values.count
            case .instants(let values): values.count
            }
        }
    }

    /// An amount, a margin, a cost or an instant that is not there.
    package static let missing = Int64.min

    /// Integers or texts, whatever the plan has: texts of whole numbers are integers, too.
    package var customerIDs: IDColumn
    package var times: Times
    /// In 10^-`decimals` currency units; negative for returns.
    package var amounts: [Int64]
    /// 0…4, of amounts, margins and costs.
    package var decimals = 4
    package var margins: [Int64]?
    /// In place of margins.
    package var costs: [Int64]?
    /// NaN for one that is not known.
    package var quantities: [Float]?
    package var orderIDs: CodedText?
    package var products: CodedText?
    package var categories: CodedText?
    package var promotions: CodedText?
    package var channels: CodedText?

    package init(customerIDs: IDColumn, times: Times, amounts: [Int64]) {
        self.customerIDs = customerIDs
        self.times = times
        self.amounts = amounts
    }

    package var count: Int { amounts.count }
}

/// Why a line was not taken.
package struct LineRejection: Sendable, Equatable {
    /// Of the lines sent, from 0.
    package var row: Int
    /// `customer`, `time`, `amount`, `margin`, `cost`, `quantity`, `order`, `product`, `category`,
    /// `promotion` or `channel`.
    package var column: String
    package var reason: RejectReason

    package init(row: Int, column: String, reason: RejectReason) {
        (self.row, self.column, self.reason) = (row, column, reason)
    }
}

/// What lines that were sent come to.
package struct ValidatedLines: Sendable {
    /// Those that were taken, with the columns that a file's lines have by the same mapping.
    package var lines: PurchaseLines
    /// Which of the lines sent they are, ascending; nil for all.
    package var rows: [Int]?
    /// By row; all reasons of a line.
    package var rejections: [LineRejection]
}

extension PurchaseMapping {
    /// Checks lines by the rules of files: what a file with these values would have brought in, and
    /// why the rest is left out. Spaces and tabs around texts do not count.
    ///
    /// An amount is always sent: a plan that computes it from quantity and price does so for files.
    /// A quantity that is not known is 1, of a return -1.
    /// - Parameter clock: the plan's, for times that are days.
    /// - Throws: `unusableBatch` for columns that differ in count or that the plan does not map,
    ///   required ones that are absent, codes without texts and decimals outside 0…4.
    package func validated(
        _ sent: SubmittedLines, clock: LocalClock
    ) throws(IngestError) -> ValidatedLines {
        try check(sent)
        var judge = SubmissionJudge(count: sent.count)
        let customers = judge.customers(
            sent.customerIDs, customerID.kind, decimalSign: format.decimalSign.byte)
        let times = judge.times(sent.times, clock)
        let scale: Int64 = [10_000, 1_000, 100, 10, 1][sent.decimals]
        let amounts = judge.money(sent.amounts, scale, "amount", missing: .missingAmount)
        var lines = PurchaseLines(customerIDs: customers, times: times, amounts: amounts)
        if margin != nil {
            if let margins = sent.margins {
                lines.margins = judge.money(margins, scale, "margin", missing: .missingMargin)
            } else {
                let costs = judge.money(
                    sent.costs ?? [], scale, "cost", missing: .missingMargin)
                lines.margins = zip(amounts, costs).map { $0 - $1 }
            }
        }
        if mapsQuantity { lines.quantities = judge.quantities(sent.quantities, amounts) }
        func text(_ column: ColumnReference?, _ text: CodedText?, _ name: String) -> CodedText? {
            guard column != nil else { return nil }
            return text.map { judge.text($0, name) } ?? CodedText(missing: sent.count)
        }
        lines.orderIDs = text(orderID, sent.orderIDs, "order")
        lines.products = text(product, sent.products, "product")
        lines.categories = text(category, sent.categories, "category")
        lines.promotions = text(promotion, sent.promotions, "promotion")
        lines.channels = text(channel, sent.channels, "channel")
        let rejections = judge.rejections.sorted { $0.row < $1.row }
        guard !rejections.isEmpty else {
            return ValidatedLines(lines: lines, rows: nil, rejections: [])
        }
        var isRejected = [Bool](repeating: false, count: sent.count)
        for rejection in rejections { isRejected[rejection.row] = true }
        let rows = isRejected.indices.filter { !isRejected[$0] }
        return ValidatedLines(lines: lines.gather(rows), rows: rows, rejections: rejections)
    }

    private var mapsQuantity: Bool {
        if case .quantityTimesPrice = amount { return true }
        return quantity != nil
    }

    private func check(_ sent: SubmittedLines) throws(IngestError) {
        let texts = [
            (sent.orderIDs, "order", orderID != nil), (sent.products, "product", product != nil),
            (sent.categories, "category", category != nil),
            (sent.promotions, "promotion", promotion != nil),
            (sent.channels, "channel", channel != nil),
        ]
        var columns = [
            ("customer", Optional(sent.customerIDs.count), true),
            ("time", Optional(sent.times.count), true),
            ("margin", sent.margins?.count, margin != nil),
            ("cost", sent.costs?.count, margin != nil),
            ("quantity", sent.quantities?.count, mapsQuantity),
        ]
        for (text, name, isMapped) in texts { columns.append((name, text?.count, isMapped)) }
        for (name, count, isMapped) in columns {
            guard let count else { continue }
            guard count == sent.count else {
                throw .unusableBatch(
                    reason: "\(name) has \(count) values, amount has \(sent.count)")
            }
            guard isMapped else {
                throw .unusableBatch(
                    reason: "the plan maps no \(name): leave the column out, or map it in the plan")
            }
        }
        for (text, name, _) in texts {
            guard let text else { continue }
            let limit = UInt32(clamping: text.values.count)
            guard text.codes.allSatisfy({ $0 < limit || $0 == CodedText.missing }) else {
                throw .unusableBatch(reason: "a value of \(name) has no text")
            }
        }
        if margin != nil, (sent.margins == nil) == (sent.costs == nil) {
            throw .unusableBatch(
                reason: sent.margins == nil
                    ? "the plan maps margins: send margins or costs" : "send margins or costs")
        }
        guard (0...4).contains(sent.decimals) else {
            throw .unusableBatch(
                reason: "amounts of \(sent.decimals) decimals are not known: 0 to 4 are")
        }
    }
}

/// Brings columns into the form of a file's lines, and collects what is wrong with them.
private struct SubmissionJudge {
    let count: Int
    var rejections: [LineRejection] = []

    init(count: Int) { self.count = count }

    private mutating func reject(_ row: Int, _ column: String, _ reason: RejectReason) {
        rejections.append(LineRejection(row: row, column: column, reason: reason))
    }

    mutating func customers(_ ids: IDColumn, _ kind: IDKind, decimalSign: UInt8) -> IDColumn {
        switch (ids, kind) {
        case (.integers, .integer): return ids
        case (.integers(let numbers), .text): return .texts(TextArray(numbers.map { String($0) }))
        case (.texts(let texts), .integer):
            var numbers = [Int64](repeating: 0, count: count)
            for row in 0..<count {
                let text = trimmed(Array(texts.utf8(row)))
                if text.isEmpty {
                    reject(row, "customer", .missingCustomerID)
                } else if let number = DecimalNumber(
                    text.span, from: 0, to: text.count, decimalSign: decimalSign)?.integer
                {
                    numbers[row] = number
                } else {
                    reject(row, "customer", .invalidID)
                }
            }
            return .integers(numbers)
        case (.texts(let texts), .text):
            var result = TextArray()
            result.reserveCapacity(count: count, byteCount: texts.bytes.count)
            for row in 0..<count {
                let text = trimmed(Array(texts.utf8(row)))
                if text.isEmpty {
                    reject(row, "customer", .missingCustomerID)
                } else if text.count > Limits.idByteCount {
                    reject(row, "customer", .invalidID)
                } else if let problem = firstTextProblem(text.span, from: 0, to: text.count) {
                    reject(row, "customer", problem.reason)
                }
                result.append(utf8: text)
            }
            return .texts(result)
        }
    }

    mutating func times(_ times: SubmittedLines.Times, _ clock: LocalClock) -> [Int64] {
        let first = TimeParser.firstDayNumber
        let days = first..<first + TimeParser.dayCount
        var result = [Int64](repeating: 0, count: count)
        switch times {
        case .instants(let instants):
            let seconds = days.lowerBound * 86_400..<days.upperBound * 86_400
            for (row, instant) in instants.enumerated() {
                if seconds.contains(Int(instant)) {
                    result[row] = instant
                } else {
                    let isMissing = instant == SubmittedLines.missing
                    reject(row, "time", isMissing ? .missingTime : .timeOutOfRange)
                }
            }
        case .days(let numbers):
            // Lines of a batch are of few days.
            var (last, start) = (Int32.min, Int64(0))
            for (row, day) in numbers.enumerated() {
                if day == last, last != .min {
                    result[row] = start
                } else if days.contains(Int(day)) {
                    (last, start) = (day, Int64(clock.utcSeconds(ofLocal: Int(day) * 86_400)))
                    result[row] = start
                } else {
                    reject(row, "time", day == .min ? .missingTime : .timeOutOfRange)
                }
            }
        }
        return result
    }

    /// - Parameter scale: ten-thousandths of a unit of the values.
    mutating func money(
        _ values: [Int64], _ scale: Int64, _ column: String, missing: RejectReason
    ) -> [Int64] {
        let limit = UInt64(Limits.amountUnits * 10_000 / scale)
        var result = [Int64](repeating: 0, count: count)
        for (row, value) in values.enumerated() {
            if value.magnitude <= limit {
                result[row] = value * scale
            } else {
                let isMissing = value == SubmittedLines.missing
                reject(row, column, isMissing ? missing : .amountOutOfRange)
            }
        }
        return result
    }

    mutating func quantities(_ values: [Float]?, _ amounts: [Int64]) -> [Float] {
        var result = amounts.map { $0 < 0 ? Float(-1) : 1 }
        guard let values else { return result }
        for (row, value) in values.enumerated() where !value.isNaN {
            if value.magnitude <= Float(Limits.amountUnits) {
                result[row] = value
            } else {
                reject(row, "quantity", .amountOutOfRange)
            }
        }
        return result
    }

    /// Every distinct text is looked at once.
    mutating func text(_ text: CodedText, _ column: String) -> CodedText {
        var reasons: [RejectReason?] = []
        var codes: [UInt32] = []
        var codeOfText: [[UInt8]: UInt32] = [:]
        var values = TextArray()
        var isChanged = false
        for index in 0..<text.values.count {
            let utf8 = Array(text.values.utf8(index))
            let kept = trimmed(utf8)
            reasons.append(
                kept.count > Limits.textByteCount
                    ? .textTooLong
                    : firstTextProblem(kept.span, from: 0, to: kept.count)?.reason)
            var code = CodedText.missing
            if !kept.isEmpty {
                code = codeOfText[kept] ?? UInt32(values.count)
                if Int(code) == values.count {
                    codeOfText[kept] = code
                    values.append(utf8: kept)
                }
            }
            isChanged = isChanged || code != UInt32(index)
            codes.append(code)
        }
        if reasons.contains(where: { $0 != nil }) {
            for (row, code) in text.codes.enumerated() where code != CodedText.missing {
                if let reason = reasons[Int(code)] { reject(row, column, reason) }
            }
        }
        if !isChanged { return CodedText(codes: text.codes, values: values) }
        return CodedText(
            codes: text.codes.map { $0 == CodedText.missing ? $0 : codes[Int($0)] },
            values: values)
    }
}

extension PurchaseLines {
    /// Some of the lines, in order. Texts that none of them has may stay.
    package func gather(_ rows: [Int]) -> PurchaseLines {
        func coded(_ text: CodedText?) -> CodedText? {
            text.map { text in
                CodedText(codes: rows.map { text.codes[$0] }, values: text.values)
            }
        }
        var result = PurchaseLines(
            customerIDs: customerIDs.gather(rows), times: rows.map { times[$0] },
            amounts: rows.map { amounts[$0] })
        result.margins = margins.map { values in rows.map { values[$0] } }
        result.quantities = quantities.map { values in rows.map { values[$0] } }
        result.orderIDs = coded(orderIDs)
        result.products = coded(products)
        result.categories = coded(categories)
        result.promotions = coded(promotions)
        result.channels = coded(channels)
        return result
    }
}
