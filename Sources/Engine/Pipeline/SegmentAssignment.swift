import Features
import Models

extension SegmentationModel {
    /// The segment of every customer of a table, -1 for those that are not eligible.
    /// - Parameter name: of the model, for errors.
    func segments(
        of table: FeatureTable, _ name: String, threadCount: Int
    ) throws(EngineError) -> [Int32] {
        var numbers = [Int32](repeating: -1, count: table.rowCount)
        let status = table.history.status
        let rows = status.indices.filter { status[$0] == CustomerHistory.ok }
        guard !rows.isEmpty else { return numbers }
        var inputs: [FeatureColumn] = []
        for name in featureNames {
            // A value that no customer has any more (a category gone from sale) is a share of 0.
            inputs.append(
                table.column(named: name)
                    ?? FeatureColumn(
                        name: name, unit: .share,
                        values: [Float](repeating: 0, count: table.rowCount)))
        }
        let input = SegmentationInput(columns: inputs, rows: rows, of: table.rowCount)
        let assignment = try modelErrors(name) {
            () throws(ModelError) in
            try assign(
                columns: input.columns, valid: input.valid, rows: input.rows,
                threadCount: threadCount)
        }
        for (position, row) in rows.enumerated() { numbers[row] = assignment.segments[position] }
        return numbers
    }
}
