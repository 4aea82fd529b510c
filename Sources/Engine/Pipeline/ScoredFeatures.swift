import Features
import Models
import Units

extension Workspace {
    /// The features that the plan's segmentations and their latest models read, without those of
    /// segments that are carried on from the last scoring, and the predictions that they read.
    func scoredFeatures(
        _ asOf: CalendarDay, _ threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> (
        features: DayFeatures, carried: CarriedSegments?, predictions: [String]
    ) {
        var names = plan.featureNames
        var segmentations: [LatestSegmentation] = []
        for segmentation in plan.segmentations {
            let versions = manifest.models.filter { $0.name == "segmentation.\(segmentation.name)" }
            guard let latest = versions.max(by: { $0.version < $1.version }) else { continue }
            let fitted = try ModelStore.read(
                FittedSegmentation.self, from: "\(folder)/\(latest.file)")
            names.formUnion(fitted.model.segmenter.featureNames)
            segmentations.append(LatestSegmentation(latest, fitted.model.segmenter))
        }
        let predictions = names.intersection(PredictedFeatures.names).sorted()
        names.subtract(predictions)
        let churnFeatures = try churnModelFeatures()
        names.formUnion(churnFeatures)
        let cache = try segmentCache(asOf, threadCount, report)
        var carried: [LatestSegmentation] = []
        func compute(
            narrowed: (FeatureCache.Lines) -> Set<String>?
        ) throws(EngineError) -> DayFeatures {
            let features = try dayFeatures(
                asOf: asOf, keeping: names, usesCache: true,
                collectsPurchases: manifest.models.contains { $0.name == "affinity" },
                narrowed: narrowed, threadCount: threadCount, report: report)
            // The scoring's own table is the last: its columns go as soon as they are read.
            loadedFeatures = nil
            return features
        }
        let features = try compute { kept in
            // Who has changed since the kept features has changed since the segments too.
            guard let cache, kept.goOn(to: cache.lines) else { return nil }
            var others = churnFeatures
            for model in segmentations {
                if let reason = cache.flaw(for: model, asOf: asOf) {
                    report("\(model.reference.name) of all customers: \(reason)")
                    others.formUnion(
                        Set(model.featureNames).subtracting(PredictedFeatures.names))
                } else {
                    carried.append(model)
                }
            }
            return others
        }
        guard let cache, let changed = features.changed, !carried.isEmpty else {
            return (features, nil, predictions)
        }
        if let segments = CarriedSegments(
            cache, models: carried, changed: changed, to: features.table, threadCount: threadCount)
        {
            return (features, segments, predictions)
        }
        report("segments of all customers: those kept are of other customers or models")
        return (try compute { _ in nil }, nil, predictions)
    }

    /// What the latest churn model reads, where the plan has one.
    private func churnModelFeatures() throws(EngineError) -> Set<String> {
        let versions = manifest.models.filter { $0.name == "churn" }
        guard plan.churn.model.isLearned, let latest = versions.max(by: { $0.version < $1.version })
        else { return [] }
        let fitted = try ModelStore.read(FittedChurn.self, from: "\(folder)/\(latest.file)")
        return Set(fitted.model.model.schema.map(\.name))
    }

    private func segmentCache(
        _ asOf: CalendarDay, _ threadCount: Int, _ report: (String) -> Void
    ) throws(EngineError) -> SegmentCache? {
        let key = try featureCacheKey(threadCount: threadCount)
        do throws(CacheFlaw) {
            return try SegmentCache(
                folder, key: key, goingOnTo: lines(asOf: asOf), ends: manifest.purchaseEnds,
                threadCount: threadCount)
        } catch {
            report("segments of all customers: \(error.reason)")
            return nil
        }
    }
}
