import ColumnStore
import Engine
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Tells a server that takes no purchases who was erased, by another server of the workspace or by a
/// command: looks at the workspace's log now and then. One that takes purchases knows at once.
final class ErasureFollower: Sendable {
    /// The whole last file of a log is read again where it has grown.
    private static let interval = TimeAmount.seconds(5)

    private let shared: ServerShared
    private let state = Mutex(State())

    private struct State {
        var position = LogPosition.start
        /// The last file of the log and its bytes.
        var end: [Int] = []
        var lookedAt = NIODeadline.uptimeNanoseconds(0)
        var complaint: EngineError?
    }

    init(shared: ServerShared) { self.shared = shared }

    /// Who was erased when the server starts; nobody where it has no workspace.
    static func list(_ workspace: String?, _ logger: Logger) -> ErasureList {
        guard let workspace else { return ErasureList() }
        do throws(EngineError) {
            return ErasureList(
                try RecordedErasure.read(workspace: workspace, from: .start).erasures)
        } catch {
            complain(error, logger)
            return ErasureList()
        }
    }

    private static func complain(_ error: EngineError, _ logger: Logger) {
        logger.error(
            "the log cannot be read: customers who are erased may still be shown",
            metadata: ["error": "\(error)"])
    }

    /// Looks, unless it has just done so; returns when every event loop hides who was found.
    func follow() async {
        guard shared.live == nil, let folder = shared.administration.shelf?.folder,
            isDue()
        else { return }
        let isNew = try? await NIOThreadPool.singleton.runIfActive { [self] in
            state.withLock { Self.look(folder, &$0, shared) }
        }
        if isNew == true { await shared.hideErased() }
    }

    private func isDue() -> Bool {
        state.withLock { state in
            let now = NIODeadline.now()
            guard now - state.lookedAt >= Self.interval else { return false }
            state.lookedAt = now
            return true
        }
    }

    /// - Returns: whether somebody is erased who was not before.
    private static func look(_ folder: String, _ state: inout State, _ shared: ServerShared) -> Bool
    {
        let end = RecordedErasure.end(ofLogOf: folder)
        guard end != state.end else { return false }
        do throws(EngineError) {
            let (erasures, position) = try RecordedErasure.read(
                workspace: folder, from: state.position)
            (state.position, state.end, state.complaint) = (position, end, nil)
            return shared.erasures.add(erasures)
        } catch {
            if state.complaint != error { complain(error, shared.logger) }
            state.complaint = error
            return false
        }
    }
}
