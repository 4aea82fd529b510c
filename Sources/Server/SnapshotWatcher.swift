import ColumnStore
import Engine
import Logging

/// Looks for another current generation, newer or (after a rollback) older, and moves the server to
/// it. One that is damaged is refused once, with its error in the log, and the served one stays.
struct SnapshotWatcher: Sendable {
    let source: SnapshotSource
    let interval: Duration
    let shared: ServerShared

    private enum Outcome: Sendable {
        case unchanged
        case stillRefused
        case opened(ServingSnapshot, SnapshotLocation)
        case refused(SnapshotLocation, EngineError)
        case unknown(EngineError)
    }

    /// Returns when its task is cancelled.
    func run() async {
        var refused: SnapshotLocation?
        var complaint: EngineError?
        let labels = LabelFollower(shared: shared)
        let erasures = ErasureFollower(shared: shared)
        while true {
            await labels.follow()
            await erasures.follow()
            do { try await Task.sleep(for: interval) } catch { return }
            switch await look(current: shared.generation.load(ordering: .acquiring), refused) {
            case .unchanged:
                // Refused once does not mean for ever: the files may be restored before the
                // manifest names them again.
                (refused, complaint) = (nil, nil)
            case .stillRefused:
                complaint = nil
            case .opened(let snapshot, let location):
                (refused, complaint) = (nil, nil)
                do throws(EngineError) {
                    try await shared.move(to: snapshot)
                } catch {
                    refused = location
                    refuse(location, error)
                    continue
                }
                shared.generationsMoved.wrappingAdd(1, ordering: .relaxed)
                shared.logger.info(
                    "moved to another generation",
                    metadata: [
                        "generation": "\(snapshot.generation)", "asOf": "\(snapshot.asOf)",
                        "customers": "\(snapshot.customerCount)",
                    ])
            case .refused(let location, let error):
                refused = location
                refuse(location, error)
            case .unknown(let error):
                // Looked at again, but logged once, not five times a second.
                if complaint != error {
                    complaint = error
                    shared.logger.error(
                        "cannot open the current generation, the served one stays",
                        metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func refuse(_ location: SnapshotLocation, _ error: EngineError) {
        shared.generationsRefused.wrappingAdd(1, ordering: .relaxed)
        shared.logger.error(
            "generation refused, the served one stays",
            metadata: ["generation": "\(location.generation)", "error": "\(error)"])
    }

    private func look(current: Int, _ refused: SnapshotLocation?) async -> Outcome {
        // Not on the scan threads: a publish does not wait behind a thousand scans.
        let outcome = await shared.queues.loading.run { [source, shared] in
            let location: SnapshotLocation?
            do throws(EngineError) { location = try source() } catch {
                return Outcome.unknown(error)
            }
            guard let location, location.generation != current else { return .unchanged }
            let number = location.generation
            let prepared = shared.administration.prepared(number)
            if location == refused, prepared == nil { return .stillRefused }
            if let ready = prepared ?? shared.held(number)?.snapshot {
                return .opened(ready, location)
            }
            do throws(EngineError) {
                return .opened(try ServingSnapshot(location), location)
            } catch .store(.system(let error)) {
                // No more open files, no memory: the snapshot may be sound and is tried again.
                return .unknown(.store(.system(error)))
            } catch {
                return .refused(location, error)
            }
        }
        // Its thread ends with the server.
        return outcome ?? .unchanged
    }
}
