import Engine
import Logging

/// Looks for a new generation and moves the server to it. One that cannot be opened is refused
/// once, with its error in the log, and the previous one keeps serving.
struct SnapshotWatcher: Sendable {
    let source: SnapshotSource
    let interval: Duration
    let shared: ServerShared

    private enum Outcome: Sendable {
        case unchanged
        case older(SnapshotLocation)
        case opened(ServingSnapshot)
        case refused(SnapshotLocation, EngineError)
        case unknown(EngineError)
    }

    /// Returns when its task is cancelled.
    func run() async {
        var refused: SnapshotLocation?
        var complaint: EngineError?
        while true {
            do { try await Task.sleep(for: interval) } catch { return }
            switch await look(current: shared.generation.load(ordering: .acquiring), refused) {
            case .unchanged:
                complaint = nil
            case .older(let location):
                refused = location
                shared.logger.error(
                    "the current generation is older than the served one; start the server anew",
                    metadata: ["generation": "\(location.generation)"])
            case .opened(let snapshot):
                (refused, complaint) = (nil, nil)
                await shared.move(to: snapshot)
                shared.logger.info(
                    "moved to a new generation",
                    metadata: [
                        "generation": "\(snapshot.generation)", "asOf": "\(snapshot.asOf)",
                        "customers": "\(snapshot.customerCount)",
                    ])
            case .refused(let location, let error):
                refused = location
                shared.logger.error(
                    "new generation refused, the previous one keeps serving",
                    metadata: ["generation": "\(location.generation)", "error": "\(error)"])
            case .unknown(let error):
                // Logged once, not five times a second.
                if complaint != error {
                    complaint = error
                    shared.logger.error(
                        "cannot tell the current generation", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func look(current: Int, _ refused: SnapshotLocation?) async -> Outcome {
        let outcome = try? await shared.scans.run { [source] in
            let location: SnapshotLocation?
            do throws(EngineError) { location = try source() } catch {
                return Outcome.unknown(error)
            }
            guard let location, location.generation != current, location != refused else {
                return .unchanged
            }
            // A client never sees the generation of its answers go back.
            guard location.generation > current else { return .older(location) }
            do throws(EngineError) {
                return .opened(try ServingSnapshot(location))
            } catch {
                return .refused(location, error)
            }
        }
        // Only a server that is shutting down has no thread to look with.
        return outcome ?? .unchanged
    }
}
