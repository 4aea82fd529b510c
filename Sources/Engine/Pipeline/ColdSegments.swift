import ByteCoding
import ColumnStore
import Features
import Models

/// The segments of the customers by a segmentation of attributes alone, which also those have who have
/// bought nothing.
struct AttributeSegments: Sendable {
    /// As the plan names the segmentation.
    let segmentation: String
    /// By number of a segment its id, which stays from training to training.
    let ids: [Int]
    /// Of every row of a feature table; -1 for none.
    let numbers: [Int32]
}

extension Segmenter {
    /// Whether it needs no purchases, nor segments that might need some.
    var isOfAttributesAlone: Bool {
        bases.isEmpty && featureNames.areOfAttributesAlone
    }
}

extension Workspace {
    /// The segments of a training's customers by the latest models of attributes alone.
    /// - Parameter fitting: whose table has the columns of `attributeSegmentFeatureNames`.
    func attributeSegments(
        by models: [Manifest.Model], of fitting: ModelFitting
    ) throws(EngineError) -> [AttributeSegments] {
        var result: [AttributeSegments] = []
        for (name, fitted) in try attributeSegmentations(models) {
            var numbers = try fitted.segmenter.segments(
                of: fitting.known?.table ?? fitting.table, "segmentation.\(name)",
                threadCount: fitting.threadCount)
            if let known = fitting.known { numbers = known.rows.map { numbers[$0] } }
            result.append(
                AttributeSegments(
                    segmentation: name, ids: fitted.segmentIDs, numbers: numbers))
        }
        return result
    }

    /// What those segmentations read that are trained already; the plan may name others by now.
    func attributeSegmentFeatureNames() throws(EngineError) -> Set<String> {
        Set(try attributeSegmentations(manifest.models).flatMap(\.fitted.segmenter.featureNames))
    }

    /// In the order of the plan.
    private func attributeSegmentations(
        _ models: [Manifest.Model]
    ) throws(EngineError) -> [(name: String, fitted: FittedSegmentation)] {
        var result: [(name: String, fitted: FittedSegmentation)] = []
        for segmentation in plan.segmentations {
            let versions = models.filter { $0.name == "segmentation.\(segmentation.name)" }
            guard let latest = versions.max(by: { $0.version < $1.version }) else { continue }
            let fitted = try ModelStore.read(
                FittedSegmentation.self, from: "\(folder)/\(latest.file)"
            ).model
            if fitted.segmenter.isOfAttributesAlone { result.append((segmentation.name, fitted)) }
        }
        return result
    }
}

/// What customers may have in common: a value of a text attribute, or a segment.
struct ColdColumn: Sendable {
    /// An attribute's, or `segmentation.` and that of a segmentation.
    let name: String
    let values: TextArray
    /// Of every customer a position in `values`; `CodedText.missing` for none.
    let codes: [UInt32]

    /// - Parameters:
    ///   - rows: of the feature table, of the customers wanted.
    ///   - tableRows: of the same customers in `attributes`, -1 for none.
    /// - Returns: segmentations, then texts among the attributes; other kinds are not looked at.
    static func columns(
        _ segments: [AttributeSegments], rows: [Int], _ attributes: CustomerAttributes?,
        tableRows: [Int]
    ) -> [ColdColumn] {
        let ofSegments = segments.map { segments in
            ColdColumn(
                name: "segmentation.\(segments.segmentation)",
                values: TextArray(segments.ids.map(String.init)),
                // Of whom no attribute is known a segment is a guess from means.
                codes: zip(rows, tableRows).map { row, tableRow in
                    let number = segments.numbers[row]
                    return number < 0 || tableRow < 0 ? CodedText.missing : UInt32(number)
                })
        }
        return ofSegments
            + (attributes?.columns ?? []).compactMap { column in
                guard case .text(let text) = column.values else { return nil }
                return ColdColumn(
                    name: column.name, values: text.values,
                    codes: tableRows.map { $0 < 0 ? CodedText.missing : text.codes[$0] })
            }
    }
}
