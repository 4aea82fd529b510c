import Logging
import NIOPosix

/// Reads the file of tokens again when it changes. New HELLOs and open connections are judged by the
/// new tokens. A file that cannot be used leaves the old ones.
struct TokenWatcher: Sendable {
    let path: String
    let interval: Duration
    let shared: ServerShared
    /// From before the file was read at the start.
    let first: FileWatch

    /// Returns when its task is cancelled.
    func run() async {
        var watch = first
        var complaint: ServerError?
        while true {
            do { try await Task.sleep(for: interval) } catch { return }
            // A disk may be slow: not on the threads of the tasks.
            let look = try? await NIOThreadPool.singleton.runIfActive { [path, watch] in
                var watch = watch
                return (watch.isDue() ? Self.read(path) : nil, watch)
            }
            guard let (outcome, looked) = look else { continue }
            watch = looked
            switch outcome {
            case .success(let table)?:
                complaint = nil
                // Also where it says the same: a change in the clock's step may be in it.
                guard shared.use(table) else { continue }
                shared.logger.info(
                    "tokens read again",
                    metadata: ["path": "\(path)", "tokens": "\(table.entries.count)"])
            case .failure(let error)? where error != complaint:
                complaint = error
                shared.logger.error(
                    "tokens cannot be read, the old ones stay", metadata: ["error": "\(error)"])
            case .failure?, nil: break
            }
        }
    }

    private static func read(_ path: String) -> Result<TokenTable, ServerError> {
        Result { () throws(ServerError) in try TokenTable(path: path) }
    }
}
