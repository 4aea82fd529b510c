import ColumnStore

/// The files of one run by the options that name them: what it reads and, opened before any work,
/// what it writes.
///
/// No file may be written that is read, under whatever name, and none twice.
struct LabFiles {
    private var outputs: [(option: String, file: NumPyOutput)] = []

    /// - Parameters:
    ///   - reads: options and their paths, nil for those that are not given; `--roofline` is the
    ///     setting's.
    ///   - writes: the same of the outputs.
    /// - Throws: `option`; `store` where an output cannot be opened.
    init(
        reads: KeyValuePairs<String, String?>, writes: KeyValuePairs<String, String?>,
        _ setting: LabSetting
    ) throws(LabError) {
        let given = [("--roofline", setting.rooflinePath)] + reads.map { ($0.key, $0.value) }
        var known: [(option: String, path: String, file: FileIdentity)] = []
        for case (let option, let path?) in given {
            guard !path.isEmpty else {
                throw .option(name: option, reason: "the path is empty; name a file")
            }
            known.append((option, path, FileIdentity(path)))
        }
        var wanted: [(option: String, path: String)] = []
        for case (let option, let path?) in writes.map({ ($0.key, $0.value) }) {
            guard !path.isEmpty else {
                throw .option(name: option, reason: "the path is empty; name a file to write")
            }
            let file = FileIdentity(path)
            if let other = known.first(where: { $0.file.isSame(as: file) }) {
                let isRead = !wanted.contains { $0.option == other.option }
                throw .option(
                    name: option,
                    reason: "\(path) is the file that \(other.option) "
                        + (isRead ? "reads; writing would destroy it" : "writes too")
                        + "; name another file")
            }
            known.append((option, path, file))
            wanted.append((option, path))
        }
        for (option, path) in wanted {
            do throws(LabError) {
                outputs.append((option, try NumPyOutput(path)))
            } catch .store(.notReplaceable(let path, let kind)) {
                throw .option(
                    name: option,
                    reason: "\(path) is \(kind); name a new file, or an ordinary one to replace")
            }
        }
    }

    /// The output of an option; nil where it is not given.
    subscript(option: String) -> NumPyOutput? {
        outputs.first { $0.option == option }?.file
    }

    /// Makes the filled outputs visible, all at once.
    func publish() throws(LabError) {
        try NumPyOutput.publish(outputs.map(\.file))
    }
}
