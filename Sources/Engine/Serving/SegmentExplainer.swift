import Synchronization

/// Explains segments of one generation, one customer at a time. What all explanations need of the
/// purchases is found once, for the first of them: from what the scoring kept of them, or from all lines
/// where it kept nothing.
package final class SegmentExplainer: Sendable {
    private struct State {
        let workspace: Workspace
        var survey: HistorySurvey?
    }

    private let snapshot: ServingSnapshot
    private let state: Mutex<State>

    /// - Parameter folder: the workspace of the snapshot.
    package init(folder: String, snapshot: ServingSnapshot) throws(EngineError) {
        self.snapshot = snapshot
        state = Mutex(State(workspace: try Workspace(folder: folder, access: .reading)))
    }

    /// As `Workspace.explainSegment`, of the snapshot given.
    package func explain(
        customer: String, segmentation: String
    ) throws(EngineError) -> SegmentExplanationReport {
        try state.withLock { state throws(EngineError) in
            try state.workspace.explainSegment(
                ofCustomer: customer, in: segmentation, by: snapshot, surveyed: &state.survey,
                threadCount: 1)
        }
    }
}
