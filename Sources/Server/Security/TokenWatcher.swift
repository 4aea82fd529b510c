import Logging
import NIOPosix

/// Reads the file of tokens again when it changes. New HELLOs are judged by the new tokens;
/// connections keep what their HELLO gave them. A file that cannot be used leaves the old tokens.
struct TokenWatcher: Sendable {
    let path: String
    let interval: Duration
    let shared: ServerShared
    /// Of the file that was read at the start.
    let first: FileStamp?

    /// Returns when its task is cancelled.
    func run() async {
        var known = first
        while true {
            do { try await Task.sleep(for: interval) } catch { return }
            // A disk may be slow: not on the threads of the tasks.
            let look = try? await NIOThreadPool.singleton.runIfActive { [path, known] in
                let stamp = FileStamp(path: path)
                return (stamp, stamp == known ? nil : Self.read(path))
            }
            guard let look, let outcome = look.1 else { continue }
            known = look.0
            switch outcome {
            case .success(let table):
                shared.use(table)
                shared.logger.info(
                    "tokens read again",
                    metadata: ["path": "\(path)", "tokens": "\(table.entries.count)"])
            case .failure(let error):
                shared.logger.error(
                    "tokens cannot be read, the old ones stay", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func read(_ path: String) -> Result<TokenTable, ServerError> {
        Result { () throws(ServerError) in try TokenTable(path: path) }
    }
}
