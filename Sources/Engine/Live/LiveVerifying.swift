import ColumnStore

extension Verification {
    /// Every record of the log of live purchases, which ones come next for the segments, and that
    /// their lines are lines, and who is to be erased customers. A last record that a server has not finished is no problem.
    mutating func checkLive() {
        let folder = Workspace.liveFolder(workspace.folder)
        check("live") { (run) throws(EngineError) in
            try mapErrors(EngineError.store) { () throws(StoreError) in
                guard let first = try LogFormat.firstPosition(in: folder) else { return }
                run.result.fileCount += LogFormat.fileNumbers(in: folder).count
                let known = run.workspace.livePosition
                var cursor = LogCursor(folder: folder, from: first)
                var isFound = known.sequence <= first.sequence
                while true {
                    isFound = isFound || cursor.position == known
                    guard let record = try cursor.next() else { break }
                    run.result.byteCount += LogFormat.recordByteCount(body: record.body.count)
                    let isWaiting = record.sequence >= known.sequence
                    switch try record.contents() {
                    case .lines(let lines):
                        if isWaiting { run.result.liveLineCount += lines.count }
                    case .erasure:
                        if isWaiting { run.result.liveErasureCount += 1 }
                    }
                }
                // Read up to the end of a file, which another one follows.
                isFound = isFound || cursor.position == known
                guard isFound else {
                    throw .corrupt(
                        path: "\(folder)/\(LogFormat.fileName(known.file))",
                        byteOffset: known.byteOffset,
                        reason: "the segments have the live purchases up to record "
                            + "\(known.sequence), which the log does not have there")
                }
            }
        }
    }
}
