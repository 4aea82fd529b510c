import Engine
import Models
import Testing

@Suite struct SegmentNamesTests {
    /// Many customers without revenue, some with a little and a few with very much: on a
    /// logarithmic scale the second group lies above the middle, by its mean far below.
    @Test func aNameAgreesWithTheMeans() throws {
        var columns: [[Float]] = [[], []]
        for row in 0..<1_000 {
            let (revenue, orderValue): (Float, Float) =
                switch row {
                case ..<600: (0, 40)
                case ..<950: (100 + Float(row % 7), 30)
                default: (100_000 + Float(row), 50 + Float(row % 3))
                }
            columns[0].append(revenue)
            columns[1].append(orderValue)
        }
        for names in [["revenue", "orderValue"], ["orderValue", "revenue"]] {
            let given = names[0] == "revenue" ? columns : [columns[1], columns[0]]
            let (model, assignment) = try SegmentationModel.fit(
                featureNames: names, columns: given, scaling: .logZScore,
                parameters: KMeans.Parameters(clusterCount: 3, restarts: 4))
            let result = SegmentNames.of(
                model, columns: given, valid: [], segments: assignment.segments)
            let feature = names.firstIndex(of: "revenue") ?? 0
            let middle = Int(assignment.segments[700])
            let scaled = model.centroids[middle * 2 + feature]
            #expect(scaled > 0, "the test needs a segment above the middle of the logarithms")
            #expect(result[middle] == "low orderValue")
            #expect(result[Int(assignment.segments[990])].contains("high revenue"))
            #expect(result[Int(assignment.segments[0])].contains("low revenue"))
        }
    }

    /// Where both words would mislead for every feature, the means decide; where nothing differs,
    /// there is nothing to say.
    @Test func theMeansDecide() throws {
        let values =
            [Float](repeating: 0, count: 600) + [Float](repeating: 100, count: 350)
            + [Float](repeating: 100_000, count: 50)
        let (model, assignment) = try SegmentationModel.fit(
            featureNames: ["revenue"], columns: [values], scaling: .logZScore,
            parameters: KMeans.Parameters(clusterCount: 3, restarts: 4))
        let names = SegmentNames.of(
            model, columns: [values], valid: [nil], segments: assignment.segments)
        #expect(names[Int(assignment.segments[700])] == "low revenue")
        let (one, all) = try SegmentationModel.fit(
            featureNames: ["revenue"], columns: [values], scaling: .logZScore,
            parameters: KMeans.Parameters(clusterCount: 1))
        #expect(
            SegmentNames.of(one, columns: [values], valid: [], segments: all.segments)
                == ["everybody"])
    }

    /// A segment keeps the name that it had as long as the means bear it out.
    @Test func aNameStaysWhileItIsTrue() throws {
        let values: [[Float]] = [
            (0..<300).map { Float($0 / 100) + Float($0 % 3) / 100 },
            (0..<300).map { [5, 1, 0][$0 / 100] + Float($0 % 5) / 100 },
        ]
        let (model, assignment) = try SegmentationModel.fit(
            featureNames: ["a", "a, b"], columns: values, scaling: .zScore,
            parameters: KMeans.Parameters(clusterCount: 3, restarts: 4), order: .feature(0))
        let segments = assignment.segments
        #expect(segments[0] != segments[150] && segments[150] != segments[299])
        func names(_ earlier: [(row: Int, name: String)]) -> [String] {
            var kept = [String?](repeating: nil, count: 3)
            for (row, name) in earlier { kept[Int(segments[row])] = name }
            let names = SegmentNames.of(
                model, columns: values, valid: [], segments: segments, keeping: kept)
            return [0, 150, 299].map { names[Int(segments[$0])] }
        }
        let fresh = names([])
        #expect(fresh[0] == "high a, b, low a" && fresh[2] == "high a, low a, b")
        // True, though it is not what would be said first.
        #expect(names([(0, "low a"), (299, "low a, b")]) == ["low a", fresh[1], "low a, b"])
        #expect(names([(0, "low a, high a, b")])[0] == "low a, high a, b")
        // No more true, in part or at all, or about what is not there.
        for untrue in ["high a", "low a, low a, b", "low c", "low a,", "low ", "everybody", ""] {
            #expect(names([(0, untrue)]) == fresh, "\(untrue)")
        }
    }

    /// A missing value is in no mean.
    @Test func missingValuesDoNotCount() throws {
        let values = (0..<200).map { (row: Int) -> Float in
            Float(row % 2) + (row < 100 ? 1 : 30)
        }
        // The second half's odd rows say nothing; what stands there is not read.
        let valid = (0..<200).map { $0 < 100 || $0 % 2 == 0 }
        let spoilt = values.indices.map { valid[$0] ? values[$0] : -1_000 }
        let (model, _) = try SegmentationModel.fit(
            featureNames: ["x"], columns: [values], scaling: .zScore,
            parameters: KMeans.Parameters(clusterCount: 2),
            order: .feature(0))
        // Ordered by the feature: segment 0 is the high one.
        let segments = [Int32](repeating: 1, count: 100) + [Int32](repeating: 0, count: 100)
        #expect(
            SegmentNames.of(model, columns: [spoilt], valid: [valid], segments: segments)
                == ["high x", "low x"])
    }
}
