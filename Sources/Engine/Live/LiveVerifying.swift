import ColumnStore

extension Verification {
    /// Every record of the log of live purchases, which ones come next for the segments, and that
    /// their lines are lines. A last record that a server has not finished is no problem.
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
                    let lines = try record.lines()
                    run.result.byteCount += LogFormat.recordByteCount(body: record.body.count)
                    if record.sequence >= known.sequence {
                        run.result.liveLineCount += lines.count
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
