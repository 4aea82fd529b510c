import ColumnStore

/// A small table as comma-separated text: there whole, or not at all.
enum CSVFile {
    /// - Throws: `.store` for a file that cannot be written.
    static func write(
        _ header: [String], _ rows: some Sequence<[String]>, to path: String
    ) throws(EngineError) {
        var text = line(header)
        for row in rows { text += line(row) }
        let bytes = Array(text.utf8)
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let file = try AtomicFile(path: path)
            try file.write(bytes)
            try file.commit()
        }
    }

    private static func line(_ fields: [String]) -> String {
        fields.map(field).joined(separator: ",") + "\n"
    }

    /// Quoted where it must be (RFC 4180, section 2).
    static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { ",\"\r\n".utf8.contains($0) }) else { return text }
        return "\""
            + text.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"") + "\""
    }

    /// A number, or nothing.
    static func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    static func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "" }
}
