import ByteCoding
import Engine
import Ingest
import Wire

extension SubmittedLines {
    /// The lines of an APPEND, whose columns its decoding has checked.
    init(_ request: AppendRequest) throws(Refusal) {
        let lines = request.lines
        guard let customer = lines[.entityID], let amount = lines[.lineAmount],
            let time = lines[.lineDay] ?? lines[.lineTime],
            let times = Self.times(time), let amounts = Self.integers(amount),
            let customers = Self.ids(customer)
        else { throw Refusal(.internalError, "columns that are not those of lines") }
        self.init(customerIDs: customers, times: times, amounts: amounts)
        decimals = request.decimals
        margins = lines[.lineMargin].flatMap(Self.integers)
        costs = lines[.lineCost].flatMap(Self.integers)
        quantities = lines[.lineQuantity].flatMap(Self.floats)
        orderIDs = lines[.lineOrder].flatMap(Self.texts)
        products = lines[.lineProduct].flatMap(Self.texts)
        categories = lines[.lineCategory].flatMap(Self.texts)
        promotions = lines[.linePromotion].flatMap(Self.texts)
        channels = lines[.lineChannel].flatMap(Self.texts)
    }

    private static func times(_ column: WireColumn) -> Times? {
        if case .int32(var days) = column.values {
            for row in days.indices where !column.isValid(row) { days[row] = .min }
            return .days(days)
        }
        return integers(column).map { .instants($0) }
    }

    private static func integers(_ column: WireColumn) -> [Int64]? {
        guard case .int64(var values) = column.values else { return nil }
        if column.validity != nil {
            for row in values.indices where !column.isValid(row) { values[row] = missing }
        }
        return values
    }

    private static func floats(_ column: WireColumn) -> [Float]? {
        guard case .float32(var values) = column.values else { return nil }
        if column.validity != nil {
            for row in values.indices where !column.isValid(row) { values[row] = .nan }
        }
        return values
    }

    /// A text that is not there is empty: both are missing.
    private static func texts(_ column: WireColumn) -> CodedText? {
        guard case .text(let values) = column.values else { return nil }
        return CodedText(interning: values)
    }

    private static func ids(_ column: WireColumn) -> IDColumn? {
        if let ids = column.ids { return ids }
        // Some are missing: of texts they are empty ones, integers become texts to have such.
        switch column.values {
        case .text(let texts): return .texts(texts)
        case .int64(let values):
            return .texts(
                TextArray(
                    values.indices.map { column.isValid($0) ? String(values[$0]) : "" }))
        default: return nil
        }
    }
}

extension LineRejection {
    /// The column of the lines sent that it is about.
    func column(_ lines: Table) -> ColumnID {
        switch column {
        case "customer": .entityID
        case "time": lines[.lineDay] == nil ? .lineTime : .lineDay
        case "margin": .lineMargin
        case "cost": .lineCost
        case "quantity": .lineQuantity
        case "order": .lineOrder
        case "product": .lineProduct
        case "category": .lineCategory
        case "promotion": .linePromotion
        case "channel": .lineChannel
        default: .lineAmount
        }
    }

    var refusal: LineRefusal {
        switch reason {
        case .missingCustomerID: .missingCustomerID
        case .invalidID: .invalidID
        case .missingTime: .missingTime
        case .timeOutOfRange: .timeOutOfRange
        case .missingAmount: .missingAmount
        case .amountOutOfRange: .amountOutOfRange
        case .missingMargin: .missingMargin
        case .textTooLong: .textTooLong
        case .nulByte: .nulByte
        default: .unusable
        }
    }
}
