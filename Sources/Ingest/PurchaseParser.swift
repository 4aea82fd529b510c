import Units

/// Where the columns of purchase lines are, and how they are read.
struct PurchaseColumns: Sendable {
    enum Amount {
        case amount(Int)
        case product(quantity: Int, unitPrice: Int)
    }

    let layout: ColumnLayout
    let format: TextFormat
    let decimalSign: UInt8
    let timeFormat: DateFormat
    let clock: LocalClock
    let idKind: IDKind
    let customerIndex: Int
    let timeIndex: Int
    let amount: Amount
    let quantityIndex: Int?
    let marginIndex: Int?
    let marginIsCost: Bool
    /// Order id, product, category, promotion, channel, as far as mapped.
    private(set) var textIndices: [Int] = []
    /// Where each of the five is in `textIndices`.
    private(set) var textPlaces: [Int?] = []

    init(
        _ mapping: PurchaseMapping, _ layout: ColumnLayout, _ clock: LocalClock
    ) throws(IngestError) {
        self.layout = layout
        format = mapping.format
        timeFormat = mapping.time.format
        self.clock = clock
        decimalSign = mapping.format.decimalSign.byte
        idKind = mapping.customerID.kind
        customerIndex = try layout.index(of: mapping.customerID.column, role: "customerID")
        timeIndex = try layout.index(of: mapping.time.column, role: "time")
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
                textPlaces.append(nil)
                continue
            }
            textPlaces.append(textIndices.count)
            textIndices.append(index)
        }
    }
}

/// A purchase line without its texts.
struct PurchaseLine {
    var id: CheckedID
    var time: Int64
    var amount: Int64
    var margin: Int64?
    var quantity: Float?
}

/// Reads the fields of one purchase line after the other, and finds all that is wrong with them.
struct PurchaseParser: Sendable {
    private let columns: PurchaseColumns
    private let decimalSign: UInt8
    var timeParser: TimeParser

    init(_ columns: PurchaseColumns) {
        self.columns = columns
        decimalSign = columns.decimalSign
        timeParser = TimeParser(
            format: columns.timeFormat, clock: columns.clock,
            decimalSign: columns.format.decimalSign)
    }

    /// Checks every mapped field; nil where one of them has an issue.
    mutating func parse(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) -> PurchaseLine? {
        let customer = columns.customerIndex
        let id = checkedID(
            bytes, record.fields[customer], columns.idKind, missing: .missingCustomerID,
            decimalSign: decimalSign)
        if case .failure(let reason) = id { judge.add(reason, field: customer) }
        let time = self.time(bytes, record, &judge)
        let (amount, quantity) = amountAndQuantity(bytes, record, &judge)
        var margin: Int64?
        if let index = columns.marginIndex {
            let value = money(bytes, record, index, missing: .missingMargin, &judge)
            if let value, let amount { margin = columns.marginIsCost ? amount - value : value }
        }
        for index in columns.textIndices {
            let field = record.fields[index]
            if field.end - field.start > Limits.textByteCount {
                judge.add(.textTooLong, field: index)
            }
        }
        guard !judge.hasIssues, let time, let amount else { return nil }
        return PurchaseLine(
            id: id, time: time, amount: amount, margin: margin, quantity: quantity)
    }

    private mutating func time(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) -> Int64? {
        var start = record.fields[columns.timeIndex].start
        var end = record.fields[columns.timeIndex].end
        trim(bytes, &start, &end)
        if start == end {
            judge.add(.missingTime, field: columns.timeIndex)
            return nil
        }
        switch timeParser.parse(bytes, from: start, to: end) {
        case .valid(let seconds): return seconds
        case .outOfRange: judge.add(.timeOutOfRange, field: columns.timeIndex)
        case .unparseable: judge.add(.unparseableTime, field: columns.timeIndex)
        }
        return nil
    }

    private func amountAndQuantity(
        _ bytes: Span<UInt8>, _ record: Record, _ judge: inout LineJudge
    ) -> (amount: Int64?, quantity: Float?) {
        switch columns.amount {
        case .amount(let index):
            let amount = money(bytes, record, index, missing: .missingAmount, &judge)
            guard let quantityIndex = columns.quantityIndex else { return (amount, nil) }
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
