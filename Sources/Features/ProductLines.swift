import ByteCoding
import Numerical
import Units

extension PurchaseHistory {
    /// The lines of a customer within a window that buy a product, in the order of the history, in place
    /// of what `lines` holds. Returns and free lines buy nothing.
    func collectProductLines(
        ofCustomer customer: Int, _ products: CodedText, in window: AsOfWindow,
        into lines: inout [(line: Int, product: UInt32)]
    ) {
        lines.removeAll(keepingCapacity: true)
        for line in self.lines(ofCustomer: customer) {
            let product = products.codes[line]
            guard amounts[line] > 0, product != CodedText.missing, window.contains(times[line])
            else { continue }
            lines.append((line, product))
        }
    }
}

/// Makes a part of every chunk of customers, in parallel, and merges them in order.
/// - Parameters:
///   - customerRows: of all customers; `map` gets those of a chunk.
///   - threadCount: at least 1; does not change the result.
func reduceCustomers<Part: Sendable>(
    _ customerRows: [Int], into none: Part, threadCount: Int,
    map: @Sendable (ArraySlice<Int>) -> Part, merge: @Sendable (inout Part, Part) -> Void
) -> Part {
    let chunkRows = 2_048
    return parallelReduce(
        into: none, count: (customerRows.count + chunkRows - 1) / chunkRows,
        threadCount: threadCount
    ) { chunk in
        map(customerRows[chunk * chunkRows..<min(customerRows.count, (chunk + 1) * chunkRows)])
    } merge: { result, part in
        merge(&result, part)
    }
}
