import Yams

/// The file as a whole.
extension PlanReader {
    /// The settings at the top level of a YAML text; nil, with a problem reported, where there are
    /// none.
    package mutating func document(
        _ text: String, keys: [String], emptyHint: String
    ) -> Section? {
        guard let root = compose(text, emptyHint: emptyHint) else { return nil }
        return section(root, name: "", keys: keys)
    }

    /// The problems in the order of their lines, as an error about a file; nil where there are none.
    package func error(path: String) -> PlanError? {
        guard !problems.isEmpty else { return nil }
        return PlanError(
            path: path, problems: problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
    }

    mutating func compose(_ text: String, emptyHint: String) -> Node? {
        let start = Position(nil)
        guard text.utf8.count <= PlanLimits.byteCount else {
            report(
                .tooLarge, at: start,
                "\(documentName) has \(text.utf8.count) bytes, more than \(PlanLimits.byteCount)")
            return nil
        }
        do {
            guard let root = try Yams.compose(yaml: text), !isEmpty(root) else {
                report(.missing, at: start, "\(documentName) is empty", hint: emptyHint)
                return nil
            }
            return root
        } catch let error as YamlError {
            report(error, in: text)
        } catch {
            report(.syntax, at: start, "this is not YAML")
        }
        return nil
    }

    private mutating func report(_ error: YamlError, in text: String) {
        let start = Position(nil)
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let place = context.map { " (\($0.text) from line \($0.mark.line))" } ?? ""
            report(.syntax, at: Position(mark), problem + place)
        case .duplicatedKeysInMapping(let duplicates, let context):
            for key in duplicates {
                report(
                    .syntax, at: Position(context.mark), "the key `\(key)` is written twice",
                    hint: "keep one of them")
            }
        case .reader(let problem, let offset, _, _):
            var position = start
            position.line += text.utf8.prefix(offset ?? 0).count { $0 == UInt8(ascii: "\n") }
            report(.syntax, at: position, problem)
        default:
            report(.syntax, at: start, "this is not YAML")
        }
    }
}
