/// Bounds on what a delimited file may contain. Everything beyond is a reject or an `IngestError`,
/// never an allocation.
package enum Limits {
    /// Longest line, quoted line ends included: 16 MiB.
    package static let lineByteCount = 16 << 20
    /// Most fields in a line.
    package static let fieldCount = 4_096
    /// Longest id: 1 KiB.
    package static let idByteCount = 1 << 10
    /// Longest text in a mapped column: 64 KiB.
    package static let textByteCount = 64 << 10
    /// Most line ends inside one quoted field.
    package static let quotedLineCount = 1_000
    /// Largest amount, margin or cost of a line, either sign, in currency units.
    package static let amountUnits: Int64 = 1_000_000_000_000
    /// Margin / price of a product. A loss of more than the price, and a percentage, are mistakes.
    package static let marginRates = -1.0...1.0
    /// Years of purchase times: those of the time-zone table.
    package static let years = 1900...2099
    /// Most bytes of a value in the rejects file.
    package static let excerptByteCount = 80
    /// Most rows in a rejects file; lines beyond are counted only.
    package static let rejectRowCount = 10_000_000
    /// Most distinct texts in a column: codes are 32 bits, one of them means missing.
    package static let distinctTextCount = Int(UInt32.max)
    /// Most different texts of a column of a table.
    package static let tableCategoryCount = 1_000
}
