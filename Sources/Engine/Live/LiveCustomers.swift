package import ByteCoding
package import ColumnStore
package import Ingest
import Units

/// The live purchases that have come since a position of the log, by customer: what a snapshot that
/// was scored at that position does not know.
///
/// Memory: about 100 bytes a line. A value: whoever serves it keeps it under a lock of its own.
package struct LiveCustomers: Sendable {
    /// A line as it is kept.
    struct Line: Sendable {
        /// Of its batch.
        var sequence: Int
        var time: Int64
        var amount: Int64
        /// Nil where the plan maps none.
        var margin: Int64?
        /// Among `orderIDs` and `products`; `CodedText.missing` for none.
        var order: UInt32
        var product: UInt32
    }

    /// Batches from this one on are known.
    package private(set) var firstSequence: Int
    /// The number of the next batch.
    package private(set) var nextSequence: Int
    package private(set) var lineCount = 0
    private var linesOfCustomer: [EntityID: [Line]] = [:]
    /// The number of the last record that erased the customer.
    private var erasureOfCustomer: [EntityID: Int] = [:]
    private var orderIDs = TextInterner()
    private var products = TextInterner()

    /// Of no lines yet.
    package init(since position: LogPosition) {
        firstSequence = position.sequence
        nextSequence = position.sequence
    }

    /// Reads the log of a workspace from a position on, up to its end.
    package init(workspace: String, since position: LogPosition) throws(EngineError) {
        self.init(since: position)
        var cursor = LogCursor(folder: Workspace.liveFolder(workspace), from: position)
        do throws(StoreError) {
            while let record = try cursor.next() {
                switch try record.contents() {
                case .lines(let lines): add(lines, sequence: record.sequence)
                case .erasure(let erasure):
                    erase(erasure.customerIDs, sequence: record.sequence)
                }
            }
        } catch {
            throw .store(error)
        }
    }

    package var customerCount: Int { linesOfCustomer.count }
    /// In no order.
    package var customers: [EntityID] { Array(linesOfCustomer.keys) }

    /// Adds a batch that has become durable.
    /// - Parameter sequence: its receipt's. One that is known already changes nothing, so that reading
    ///   the log and answers of appends may overlap; batches come in the order of their numbers.
    package mutating func add(_ lines: PurchaseLines, sequence: Int) {
        add(LoggedLines(lines), sequence: sequence)
    }

    private mutating func add(_ lines: LoggedLines, sequence: Int) {
        guard sequence >= nextSequence else { return }
        nextSequence = sequence + 1
        func codes(_ text: CodedText?, _ interner: inout TextInterner) -> [UInt32]? {
            guard let text else { return nil }
            let numbers = (0..<text.values.count).map { interner.number(of: text.values, $0) }
            return text.codes.map { $0 == CodedText.missing ? $0 : numbers[Int($0)] }
        }
        let orders = codes(lines.texts[0], &orderIDs)
        let bought = codes(lines.texts[1], &products)
        for row in 0..<lines.count {
            linesOfCustomer[lines.customerIDs[row], default: []].append(
                Line(
                    sequence: sequence, time: lines.times[row], amount: lines.amounts[row],
                    margin: lines.margins?[row], order: orders?[row] ?? CodedText.missing,
                    product: bought?[row] ?? CodedText.missing))
        }
        lineCount += lines.count
    }

    /// Forgets the lines of customers, who are new ones if they buy again.
    /// - Parameter sequence: as for a batch, with which it has one order.
    /// - Returns: by customer, whether there were lines; empty where the erasure is known already.
    @discardableResult
    package mutating func erase(_ customers: IDColumn, sequence: Int) -> [Bool] {
        guard sequence >= nextSequence else { return [] }
        nextSequence = sequence + 1
        return (0..<customers.count).map { row in
            let customer = customers[row]
            erasureOfCustomer[customer] = sequence
            guard let lines = linesOfCustomer.removeValue(forKey: customer) else { return false }
            lineCount -= lines.count
            return true
        }
    }

    /// The number of the record that erased a customer, of those from `firstSequence` on; nil for one
    /// who was not erased. Lines are those that came after it.
    package func erasure(of customer: EntityID) -> Int? { erasureOfCustomer[customer] }

    /// Who was erased by records from a number on, in no order; also those who have bought since.
    package func erased(from sequence: Int) -> [EntityID] {
        erasureOfCustomer.compactMap { $1 >= sequence ? $0 : nil }
    }

    /// The same of those who have not bought since.
    package func erasedWithoutLines(from sequence: Int) -> [EntityID] {
        erased(from: sequence).filter { linesOfCustomer[$0] == nil }
    }

    package func isErasedWithoutLines(_ customer: EntityID) -> Bool {
        erasureOfCustomer[customer] != nil && linesOfCustomer[customer] == nil
    }

    /// Forgets what a newer snapshot knows. O(lines).
    package mutating func forget(before position: LogPosition) {
        guard position.sequence > firstSequence else { return }
        firstSequence = position.sequence
        nextSequence = max(nextSequence, firstSequence)
        var kept: [EntityID: [Line]] = [:]
        lineCount = 0
        for (customer, lines) in linesOfCustomer {
            let rest = lines.filter { $0.sequence >= position.sequence }
            if rest.isEmpty { continue }
            kept[customer] = rest
            lineCount += rest.count
        }
        linesOfCustomer = kept
        erasureOfCustomer = erasureOfCustomer.filter { $1 >= position.sequence }
    }

    /// Those with lines of batches from a number on; in no order.
    package func customers(from sequence: Int) -> [EntityID] {
        guard sequence < nextSequence else { return [] }
        return linesOfCustomer.compactMap { customer, lines in
            // Batches come in the order of their numbers.
            (lines.last?.sequence ?? 0) >= sequence ? customer : nil
        }
    }

    package func hasLines(of customer: EntityID) -> Bool { linesOfCustomer[customer] != nil }

    /// By (time, batch, line).
    func lines(of customer: EntityID, from sequence: Int) -> [Line] {
        let all = linesOfCustomer[customer] ?? []
        let lines =
            all.first?.sequence ?? sequence >= sequence
            ? all : all.filter { $0.sequence >= sequence }
        for index in lines.indices.dropFirst() where lines[index - 1].time > lines[index].time {
            // Stable.
            return lines.indices.sorted { (lines[$0].time, $0) < (lines[$1].time, $1) }
                .map { lines[$0] }
        }
        return lines
    }

    func orderID(_ code: UInt32) -> [UInt8] { Array(orderIDs.utf8(Int(code))) }

    /// The products that a customer has bought, each once, the newest last: what a look-up folds in.
    /// Returns and free lines buy nothing.
    package func boughtSince(_ customer: EntityID) -> [String] {
        var result: [UInt32] = []
        for line in lines(of: customer, from: firstSequence)
        where line.amount > 0 && line.product != CodedText.missing {
            if let earlier = result.firstIndex(of: line.product) { result.remove(at: earlier) }
            result.append(line.product)
        }
        return result.map { String(decoding: products.utf8(Int($0)), as: UTF8.self) }
    }
}
