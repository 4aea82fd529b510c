/// What k-means and k-prototypes have in common.
enum ClusterFits {
    /// - Throws: `outOfRange` for a count below 1.
    static func check(
        clusterCount: Int, restarts: Int, maximumIterations: Int, threadCount: Int
    ) throws(ModelError) {
        for (name, value) in [
            ("clusterCount", clusterCount), ("restarts", restarts),
            ("maximumIterations", maximumIterations), ("threadCount", threadCount),
        ] where value < 1 {
            throw .outOfRange(what: name, actual: Double(value), allowed: "at least 1")
        }
    }

    /// The fit of lowest cost of all restarts, the first of equal ones.
    /// - Parameter restarts: at least 1.
    /// - Throws: what the last of the restarts threw, where none can be fitted; at once where its
    ///   source cannot be read.
    static func best<Fitted>(
        ofRestarts restarts: Int, cost: (Fitted) -> Double,
        fit: (Int) throws(ModelError) -> Fitted
    ) throws(ModelError) -> Fitted {
        var best: Fitted?
        var failure: ModelError?
        for restart in 0..<restarts {
            do throws(ModelError) {
                let fitted = try fit(restart)
                if cost(fitted) < best.map(cost) ?? .infinity { best = fitted }
            } catch {
                // Another start may still find as many clusters; a file that cannot be read stays so.
                if case .unreadable = error { throw error }
                failure = error
            }
        }
        if let best { return best }
        throw failure
            ?? .outOfRange(
                what: "the cost of every restart", actual: .infinity, allowed: "finite")
    }
}
