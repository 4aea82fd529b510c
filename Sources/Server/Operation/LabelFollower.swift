import ColumnStore
import Engine
import Logging
import NIOPosix
import Synchronization

/// Serves what the workspace's labels name: reads them again and again, as the manifest is read,
/// because another server of the workspace may change them too.
final class LabelFollower: Sendable {
    private let shared: ServerShared
    /// Nil before the labels were read for the first time.
    private let watch = Mutex<FileWatch?>(nil)

    init(shared: ServerShared) { self.shared = shared }

    /// Looks once, and returns when every event loop has what the labels name now. A generation that
    /// cannot be opened is complained of once, and its label is not served until that changes.
    func follow() async {
        let administration = shared.administration
        guard let shelf = administration.shelf else { return }
        let known = administration.labels.withLock { $0 }
        let shared = shared
        let next = try? await NIOThreadPool.singleton.runIfActive { [self] () -> LabelTable? in
            // Most looks see a file that is as it was, and read nothing.
            guard labelsMayHaveChanged(shelf) || known.isUnsettled else { return nil }
            return Self.look(known, shelf, shared)
        }
        guard let next else { return }
        for (label, problem) in next.problems.sorted(by: { $0.key < $1.key })
        where known.problems[label] != problem {
            shared.logger.error(
                "a label is not served",
                metadata: ["label": "\(label)", "error": "\(problem)"])
        }
        let before = known.served.mapValues(\.generation)
        let after = next.served.mapValues(\.generation)
        if before != after {
            await shared.serve(next.served)
            let text = after.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            shared.logger.info(
                "labels changed", metadata: ["labels": "\(text.joined(separator: " "))"])
        }
        administration.labels.withLock { $0 = next }
    }

    private func labelsMayHaveChanged(_ shelf: GenerationShelf) -> Bool {
        watch.withLock { watch in
            guard watch != nil else {
                watch = FileWatch(["\(shelf.folder)/\(GenerationLabels.fileName)"])
                return true
            }
            return watch?.isDue() ?? true
        }
    }

    /// What is to be served; nil where nothing changes.
    private static func look(
        _ known: LabelTable, _ shelf: GenerationShelf, _ shared: ServerShared
    ) -> LabelTable? {
        var next = LabelTable()
        let wanted: GenerationLabels
        do throws(EngineError) {
            wanted = try GenerationLabels.load(shelf.folder)
        } catch {
            // What is served stays, until the file can be read.
            next = known
            next.problems = [GenerationLabels.fileName: error.description]
            next.isUnsettled = true
            return known.problems == next.problems ? nil : next
        }
        if wanted == known.wanted, !known.isUnsettled { return nil }
        next.wanted = wanted
        for (label, generation) in wanted.generations {
            if let held = shared.held(generation) {
                // Under a label a generation answers as it was scored, without what was bought since.
                next.served[label] =
                    shared.live == nil
                    ? held : ServedSnapshot(held.snapshot, erasures: shared.erasures)
                continue
            }
            do throws(EngineError) {
                if let ready = shared.administration.prepared(generation) {
                    next.served[label] = ServedSnapshot(ready, erasures: shared.erasures)
                } else if let location = try shelf.location(of: generation) {
                    next.served[label] = ServedSnapshot(
                        try ServingSnapshot(location), erasures: shared.erasures)
                } else {
                    next.problems[label] = "generation \(generation) is not in the workspace"
                }
            } catch .store(.system(let error)) {
                // No more open files, no memory: tried again.
                next.problems[label] = error.description
                next.isUnsettled = true
            } catch {
                next.problems[label] = error.description
            }
        }
        return next
    }
}
