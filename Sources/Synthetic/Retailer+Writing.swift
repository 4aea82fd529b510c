import ColumnStore
import Numerical
import Synchronization
import Units

extension Retailer {
    /// Customers a chunk: some 2 MB of text.
    private static let chunkCustomers = 1_000
    /// Chunks between two reports: bounds what can wait for a slow one.
    private static let chunksPerWindow = 32

    /// The lines of one chunk of customers, ready to be written.
    private struct Chunk: Sendable {
        var purchases: [UInt8] = []
        var customers: [UInt8] = []
        var truth: [UInt8] = []
        var summary = Summary()
    }

    /// Writes chunks in their order, in whatever order they come.
    private struct Sink {
        private let purchases: AtomicFile
        private let customers: AtomicFile
        private let truth: AtomicFile
        private var summary = Summary()
        private var next = 0
        private var waiting: [Int: Chunk] = [:]
        private var error: StoreError?

        init(folder: String) throws(StoreError) {
            purchases = try AtomicFile(path: "\(folder)/\(FileName.purchases)")
            customers = try AtomicFile(path: "\(folder)/\(FileName.customers)")
            truth = try AtomicFile(path: "\(folder)/\(FileName.customerTruth)")
            try purchases.write(Array(purchaseHeader.utf8))
            try customers.write(Array(customerHeader.utf8))
            try truth.write(Array(truthHeader.utf8))
        }

        /// Takes a chunk of the window; an error waits for its end.
        mutating func take(_ chunk: Chunk, _ index: Int) {
            waiting[index] = chunk
            while error == nil, let chunk = waiting.removeValue(forKey: next) {
                do throws(StoreError) {
                    try purchases.write(chunk.purchases)
                    try customers.write(chunk.customers)
                    try truth.write(chunk.truth)
                } catch {
                    self.error = error
                }
                summary.add(chunk.summary)
                next += 1
            }
        }

        mutating func endWindow() throws(StoreError) {
            if let error { throw error }
            next = 0
        }

        mutating func commit() throws(StoreError) -> Summary {
            summary.purchaseByteCount = purchases.byteCount
            try purchases.commit()
            try customers.commit()
            try truth.commit()
            return summary
        }
    }

    func write(
        into folder: String, threadCount: Int, progress: (Int) -> Void
    ) throws(StoreError) -> Summary {
        let sink = Mutex(try Sink(folder: folder))
        let window = Self.chunkCustomers * Self.chunksPerWindow
        for start in stride(from: 0, to: parameters.customerCount, by: window) {
            let count = min(window, parameters.customerCount - start)
            // One thread writes while the others draw; only chunks that wait for an earlier one are
            // held.
            parallelFor(
                count: count, chunkSize: Self.chunkCustomers, threadCount: threadCount
            ) { index, rows in
                let chunk = chunk(of: start + rows.lowerBound..<start + rows.upperBound)
                sink.withLock { $0.take(chunk, index) }
            }
            try sink.withLock { (sink) throws(StoreError) in try sink.endWindow() }
            progress(start + count)
        }
        let summary = try sink.withLock { (sink) throws(StoreError) in try sink.commit() }
        try AtomicFile.write(catalogue.text(), to: "\(folder)/\(FileName.products)")
        try AtomicFile.write(truthText(), to: "\(folder)/\(FileName.truth)")
        // The plan comes last: a folder with a plan has the files that it names.
        try AtomicFile.write(Array(planText().utf8), to: "\(folder)/\(FileName.plan)")
        return summary
    }

    static let purchaseHeader = """
        customer_id,order_id,time,product_id,category,quantity,amount,margin,promotion,channel

        """
    static let customerHeader = """
        customer_id,age,gender,income_band,city,latitude,longitude,interests,signup_date

        """
    static let truthHeader = """
        customer_id,lifestyle,lambda_per_week,dropout_chance,alive_at_end,mean_order_value,\
        promotion_responder,order_count

        """

    private func chunk(of customers: Range<Int>) -> Chunk {
        var chunk = Chunk()
        chunk.purchases.reserveCapacity(customers.count * 2_000)
        var basket = Basket(self)
        for index in customers {
            var random = SeededRandom(seed: parameters.seed, stream: UInt64(index))
            let customer = population.customer(index, using: &random)
            let process = PurchaseProcess(
                customer, weekdays: population.weekdays[customer.lifestyle],
                parameters: parameters, using: &random)
            let lines = basket.lines(
                of: customer, orderDays: process.orderDays, using: &random)
            for line in lines {
                append(line, of: customer, to: &chunk.purchases)
                chunk.summary.revenueCents += line.amountCents
                chunk.summary.returnCount += line.isReturn ? 1 : 0
            }
            append(customer, firstDay: process.orderDays[0], to: &chunk.customers)
            appendTruth(customer, process, to: &chunk.truth)
            chunk.summary.customerCount += 1
            chunk.summary.orderCount += process.orderDays.count
            chunk.summary.lineCount += lines.count
            chunk.summary.aliveCount += process.isAliveAtEnd ? 1 : 0
        }
        return chunk
    }

    private func append(_ line: Line, of customer: Customer, to bytes: inout [UInt8]) {
        bytes.append(integer: customer.id)
        bytes.appendComma()
        // A return is its own document, numbered like the order that it takes back.
        bytes.append(integer: customer.id)
        bytes.append(UInt8(ascii: "-"))
        if line.isReturn { bytes.append(UInt8(ascii: "R")) }
        bytes.append(integer: line.order)
        bytes.appendComma()
        bytes.append(day: parameters.firstDay + line.day, second: line.second)
        bytes.appendComma()
        bytes.append(contentsOf: catalogue.ids[line.product])
        bytes.appendComma()
        bytes.append(text: Category.all[line.category].name)
        bytes.appendComma()
        bytes.append(integer: line.quantity)
        bytes.appendComma()
        bytes.append(scaled: line.amountCents, decimals: 2)
        bytes.appendComma()
        bytes.append(scaled: line.marginCents, decimals: 2)
        bytes.appendComma()
        if let promotion = line.promotion {
            bytes.append(contentsOf: promotions.codes[promotion])
        }
        bytes.appendComma()
        bytes.append(text: Lifestyle.channelNames[line.channel])
        bytes.appendNewline()
    }

    private func append(_ customer: Customer, firstDay: Int, to bytes: inout [UInt8]) {
        bytes.append(integer: customer.id)
        bytes.appendComma()
        bytes.append(integer: customer.age)
        bytes.appendComma()
        bytes.append(text: Lifestyle.genders[customer.gender])
        bytes.appendComma()
        bytes.append(text: Lifestyle.incomeBands[customer.incomeBand])
        bytes.appendComma()
        bytes.append(text: City.all[customer.city].name)
        bytes.appendComma()
        bytes.append(fixed: customer.latitude, decimals: 5)
        bytes.appendComma()
        bytes.append(fixed: customer.longitude, decimals: 5)
        bytes.appendComma()
        for (index, interest) in customer.interests.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ";")) }
            bytes.append(text: interest)
        }
        bytes.appendComma()
        bytes.append(day: parameters.firstDay + (firstDay - customer.signupLeadDays))
        bytes.appendNewline()
    }

    private func appendTruth(
        _ customer: Customer, _ process: PurchaseProcess, to bytes: inout [UInt8]
    ) {
        bytes.append(integer: customer.id)
        bytes.appendComma()
        bytes.append(text: Lifestyle.all[customer.lifestyle].name)
        bytes.appendComma()
        bytes.append(fixed: customer.weeklyRate, decimals: 9)
        bytes.appendComma()
        bytes.append(fixed: customer.dropoutChance, decimals: 9)
        bytes.appendComma()
        bytes.append(integer: process.isAliveAtEnd ? 1 : 0)
        bytes.appendComma()
        // A nu that underflows would print as an amount beyond the writer's range.
        bytes.append(
            fixed: parameters.spendShape / max(customer.spendRate, 1e-6), decimals: 2)
        bytes.appendComma()
        bytes.append(integer: customer.isResponder ? 1 : 0)
        bytes.appendComma()
        bytes.append(integer: process.orderDays.count)
        bytes.appendNewline()
    }
}

extension Retailer.Summary {
    /// Adds everything but `purchaseByteCount`.
    mutating func add(_ other: Self) {
        customerCount += other.customerCount
        orderCount += other.orderCount
        lineCount += other.lineCount
        returnCount += other.returnCount
        aliveCount += other.aliveCount
        revenueCents += other.revenueCents
    }
}
