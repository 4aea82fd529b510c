import ByteCoding
import Units

/// Turns the fields of purchase lines into columns.
struct PurchaseParser {
    private enum Amount {
        case amount(Int)
        case product(quantity: Int, unitPrice: Int)
    }

    private let layout: ColumnLayout
    private let decimalSign: UInt8
    private let idKind: IDKind
    private let customerIndex: Int
    private let timeIndex: Int
    private let amount: Amount
    private let quantityIndex: Int?
    private let marginIndex: Int?
    private let marginIsCost: Bool

    private var timeParser: TimeParser
    private var integerIDs: [Int64] = []
    private var textIDs = TextAppender()
    private var times: [Int64] = []
    private var amounts: [Int64] = []
    private var margins: [Int64] = []
    private var quantities: [Float] = []
    /// Order id, product, category, promotion, channel, as far as mapped.
    private var texts: [InternedColumn] = []
    /// Where each of the five is in `texts`.
    private var places: [Int?] = []

    init(
        _ mapping: PurchaseMapping, _ layout: ColumnLayout, _ clock: LocalClock
    ) throws(IngestError) {
        self.layout = layout
        decimalSign = mapping.format.decimalSign.byte
        idKind = mapping.customerID.kind
        customerIndex = try layout.index(of: mapping.customerID.column, role: "customerID")
        timeIndex = try layout.index(of: mapping.time.column, role: "time")
        timeParser = TimeParser(
            format: mapping.time.format, clock: clock, decimalSign: mapping.format.decimalSign)
        switch mapping.amount {
        case .amount(let column):
            amount = .amount(try layout.index(of: column, role: "amount"))
            quantityIndex = try layout.optionalIndex(of: mapping.quantity, role: "quantity")
        case .quantityTimesPrice(let quantity, let unitPrice):
            if let other = mapping.quantity, other != quantity {
                throw .invalidMapping("two columns are mapped to quantity: \(quantity), \(other)")
            }
            let index = try layout.index(of: quantity, role: "quantity")
            amount = .product(
                quantity: index, unitPrice: try layout.index(of: unitPrice, role: "unitPrice"))
            quantityIndex = index
        }
        switch mapping.margin {
        case .cost(let column):
            marginIndex = try layout.index(of: column, role: "cost")
            marginIsCost = true
        case .margin(let column):
            marginIndex = try layout.index(of: column, role: "margin")
            marginIsCost = false
        case nil:
            marginIndex = nil
            marginIsCost = false
        }
        let roles: [(ColumnReference?, String)] = [
            (mapping.orderID, "orderID"), (mapping.product, "product"),
            (mapping.category, "category"), (mapping.promotion, "promotion"),
            (mapping.channel, "channel"),
        ]
        for (column, role) in roles {
            guard let index = try layout.optionalIndex(of: column, role: role) else {
                places.append(nil)
                continue
            }
            places.append(texts.count)
            texts.append(InternedColumn(index: index))
        }
    }

    /// All accepted lines.
    var lines: PurchaseLines {
        let ids: IDColumn = idKind == .integer ? .integers(integerIDs) : .texts(textIDs.values)
        var lines = PurchaseLines(customerIDs: ids, times: times, amounts: amounts)
        if marginIndex != nil { lines.margins = margins }
        if quantityIndex != nil { lines.quantities = quantities }
        lines.orderIDs = places[0].map { texts[$0].coded }
        lines.products = places[1].map { texts[$0].coded }
        lines.categories = places[2].map { texts[$0].coded }
        lines.promotions = places[3].map { texts[$0].coded }
        lines.channels = places[4].map { texts[$0].coded }
        return lines
    }

    /// Checks every mapped field, then appends the line if none of them has an issue.
    mutating func parse(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) throws(IngestError) {
        let id = checkedID(
            bytes, record.fields[customerIndex], idKind, missing: .missingCustomerID,
            decimalSign: decimalSign)
        if case .failure(let reason) = id { judge.add(reason, field: customerIndex) }
        let time = self.time(bytes, record, &judge)
        let (amount, quantity) = amountAndQuantity(bytes, record, &judge)
        var margin: Int64?
        if let marginIndex {
            let value = money(bytes, record, marginIndex, missing: .missingMargin, &judge)
            if let value, let amount { margin = marginIsCost ? amount - value : value }
        }
        for place in texts.indices {
            let index = texts[place].index
            let field = record.fields[index]
            if field.end - field.start > Limits.textByteCount {
                judge.add(.textTooLong, field: index)
            }
        }
        guard !judge.hasIssues, let time, let amount else { return }
        switch id {
        case .integer(let value): integerIDs.append(value)
        case .text(let start, let end): textIDs.append(bytes, from: start, to: end)
        case .unescaped(let text): textIDs.append(text.span, from: 0, to: text.count)
        case .failure: return
        }
        times.append(time)
        amounts.append(amount)
        if let margin { margins.append(margin) }
        if let quantity { quantities.append(quantity) }
        for place in texts.indices { try texts[place].append(bytes, record, layout) }
        judge.acceptPurchase(time: time, isReturn: amount < 0)
    }

    private mutating func time(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) -> Int64? {
        var start = record.fields[timeIndex].start
        var end = record.fields[timeIndex].end
        trim(bytes, &start, &end)
        if start == end {
            judge.add(.missingTime, field: timeIndex)
            return nil
        }
        switch timeParser.parse(bytes, from: start, to: end) {
        case .valid(let seconds): return seconds
        case .outOfRange: judge.add(.timeOutOfRange, field: timeIndex)
        case .unparseable: judge.add(.unparseableTime, field: timeIndex)
        }
        return nil
    }

    private func amountAndQuantity(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) -> (amount: Int64?, quantity: Float?) {
        switch amount {
        case .amount(let index):
            let amount = money(bytes, record, index, missing: .missingAmount, &judge)
            guard let quantityIndex else { return (amount, nil) }
            if isEmpty(bytes, record.fields[quantityIndex]) {
                return (amount, amount ?? 0 < 0 ? -1 : 1)
            }
            return (amount, items(bytes, record, quantityIndex, &judge)?.count)
        case .product(let quantityIndex, let priceIndex):
            let quantity = items(bytes, record, quantityIndex, &judge)
            let price = number(bytes, record, priceIndex, missing: .missingAmount, &judge)
            if let price, price.digits == 0 || price.isNegative {
                judge.add(.nonPositivePrice, field: priceIndex)
                return (nil, nil)
            }
            guard let quantity, let price else { return (nil, nil) }
            guard let amount = DecimalNumber.product(quantity.number, price) else {
                judge.add(.amountOutOfRange, field: priceIndex)
                return (nil, nil)
            }
            return (amount, quantity.count)
        }
    }

    /// A quantity as written and as a finite number.
    private func items(
        _ bytes: Span<UInt8>, _ record: Record, _ index: Int, _ judge: inout LineJudge
    ) -> (number: DecimalNumber, count: Float)? {
        guard
            let number = number(bytes, record, index, missing: .missingAmount, &judge)
        else { return nil }
        guard number.tenThousandths != nil, let count = number.double else {
            judge.add(.amountOutOfRange, field: index)
            return nil
        }
        return (number, Float(count))
    }

    private func money(
        _ bytes: Span<UInt8>, _ record: Record, _ index: Int, missing: RejectReason,
        _ judge: inout LineJudge
    ) -> Int64? {
        guard let number = number(bytes, record, index, missing: missing, &judge) else {
            return nil
        }
        guard let value = number.tenThousandths else {
            judge.add(.amountOutOfRange, field: index)
            return nil
        }
        return value
    }

    private func number(
        _ bytes: Span<UInt8>, _ record: Record, _ index: Int, missing: RejectReason,
        _ judge: inout LineJudge
    ) -> DecimalNumber? {
        var start = record.fields[index].start
        var end = record.fields[index].end
        trim(bytes, &start, &end)
        if start == end {
            judge.add(missing, field: index)
            return nil
        }
        let number = DecimalNumber(bytes, from: start, to: end, decimalSign: decimalSign)
        if number == nil { judge.add(.unparseableNumber, field: index) }
        return number
    }
}
