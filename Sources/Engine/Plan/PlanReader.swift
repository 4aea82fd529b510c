import Features
import Units
import Yams

/// Reads typed settings out of YAML nodes and collects every problem with its line and column, so
/// that one run of `plan check` shows them all. A setting with a problem reads as absent.
package struct PlanReader {
    package private(set) var problems: [PlanError.Problem] = []
    /// What a message calls the whole file.
    let documentName: String

    package init(documentName: String = "the plan") { self.documentName = documentName }

    /// A mapping of known keys.
    package struct Section {
        /// Dotted name for messages, such as `sources.purchases`; empty for the whole file.
        package let name: String
        package let position: Position
        fileprivate let settings: [String: Setting]

        package subscript(key: String) -> Setting? { settings[key] }
    }

    /// A key and its value.
    package struct Setting {
        package let name: String
        let key: String
        package let position: Position
        let value: Node

        package var valuePosition: Position { Position(value.mark) }
    }

    /// Line and column, both from 1.
    package struct Position: Sendable {
        package var line: Int
        package var column: Int

        init(_ mark: Mark?) {
            line = mark?.line ?? 1
            column = mark?.column ?? 1
        }
    }

    package mutating func report(
        _ kind: PlanError.Problem.Kind, at position: Position, _ what: String, hint: String = ""
    ) {
        problems.append(
            PlanError.Problem(
                kind: kind, line: position.line, column: position.column, what: what, hint: hint))
    }

    // MARK: Sections

    /// The settings of a mapping. Keys outside `keys` are reported; a setting whose value is empty
    /// is left out, as if it were not written.
    mutating func section(_ node: Node, name: String, keys: [String]) -> Section? {
        guard case .mapping(let mapping) = node else {
            if isEmpty(node) { return Section(name: name, position: Position(nil), settings: [:]) }
            wrongType(name.isEmpty ? documentName : name, node, wanted: "a mapping of settings")
            return nil
        }
        var settings: [String: Setting] = [:]
        for setting in pairs(mapping, name: name) {
            guard keys.contains(setting.key) else {
                let place = name.isEmpty ? "at the top level" : "in \(name)"
                report(
                    .unknownKey, at: setting.position, "unknown key `\(setting.key)` \(place)",
                    hint: suggestion(for: setting.key, among: keys))
                continue
            }
            if !isEmpty(setting.value) { settings[setting.key] = setting }
        }
        return Section(name: name, position: Position(mapping.mark), settings: settings)
    }

    /// A section within another one; nil where it is absent or no mapping.
    package mutating func section(_ setting: Setting?, keys: [String]) -> Section? {
        setting.flatMap { section($0.value, name: $0.name, keys: keys) }
    }

    /// The settings of a mapping whose keys are names that the plan chooses, in their order.
    mutating func namedSettings(_ setting: Setting, limit: Int) -> [Setting] {
        guard case .mapping(let mapping) = setting.value else {
            wrongType(setting.name, setting.value, wanted: "a mapping of names")
            return []
        }
        guard mapping.count <= limit else {
            report(
                .tooLarge, at: setting.position,
                "\(setting.name) has \(mapping.count) entries, more than \(limit)")
            return []
        }
        return pairs(mapping, name: setting.name)
    }

    private mutating func pairs(_ mapping: Node.Mapping, name: String) -> [Setting] {
        mapping.compactMap { key, value in
            guard let text = key.scalar?.string else {
                report(.wrongType, at: Position(key.mark), "a key must be a plain word")
                return nil
            }
            return Setting(
                name: name.isEmpty ? text : name + "." + text, key: text,
                position: Position(key.mark), value: value)
        }
    }

    // MARK: Values

    /// Any scalar as it is written.
    package mutating func text(_ setting: Setting?) -> String? {
        guard let setting else { return nil }
        guard let scalar = setting.value.scalar else {
            wrongType(setting.name, setting.value, wanted: "a text")
            return nil
        }
        return scalar.string
    }

    /// An unquoted whole number within `range`.
    package mutating func integer(_ setting: Setting?, in range: ClosedRange<Int>) -> Int? {
        guard let setting, let text = plainText(setting, wanted: "a whole number") else {
            return nil
        }
        guard let number = Int(text) else {
            wrongType(setting.name, setting.value, wanted: "a whole number")
            return nil
        }
        guard range.contains(number) else {
            outOfRange(setting, allowed: "\(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// An unquoted whole number of 0 or more, up to 64 bits.
    mutating func unsigned(_ setting: Setting?) -> UInt64? {
        guard let setting, let text = plainText(setting, wanted: "a whole number") else {
            return nil
        }
        if let number = UInt64(text) { return number }
        let isWhole = !text.isEmpty && text.drop { "+-".contains($0) }.allSatisfy(\.isNumber)
        if isWhole {
            outOfRange(setting, allowed: "0 to \(UInt64.max)")
        } else {
            wrongType(setting.name, setting.value, wanted: "a whole number")
        }
        return nil
    }

    /// An unquoted finite number within `range`, its lower bound excluded if `aboveLower`.
    mutating func number(
        _ setting: Setting?, in range: ClosedRange<Double>, aboveLower: Bool = false
    ) -> Double? {
        guard let setting, let text = plainText(setting, wanted: "a number") else { return nil }
        guard let number = Double(text), number.isFinite else {
            wrongType(setting.name, setting.value, wanted: "a number")
            return nil
        }
        guard range.contains(number), !aboveLower || number > range.lowerBound else {
            let lower = (aboveLower ? "above " : "") + short(range.lowerBound)
            outOfRange(setting, allowed: "\(lower) to \(short(range.upperBound))")
            return nil
        }
        return number
    }

    package mutating func bool(_ setting: Setting?) -> Bool? {
        guard let setting, let text = plainText(setting, wanted: "true or false") else {
            return nil
        }
        switch text {
        case "true": return true
        case "false": return false
        default:
            wrongType(setting.name, setting.value, wanted: "true or false")
            return nil
        }
    }

    /// One of the raw values of an enumeration.
    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ setting: Setting?, of type: Choice.Type
    ) -> Choice? {
        guard let setting, let text = text(setting) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        let allowed = type.allCases.map(\.rawValue)
        unknownValue(text, of: setting.name, at: setting.value, among: allowed)
        return nil
    }

    /// A span of time above 0, such as `52w`.
    mutating func horizon(_ setting: Setting?) -> Horizon? {
        guard let setting, let text = text(setting) else { return nil }
        guard let horizon = Horizon(parsing: text) else {
            report(
                .wrongType, at: Position(setting.value.mark),
                "\(setting.name) needs a span of time, found `\(text)`",
                hint: "write a number and d, w or m, such as 52w")
            return nil
        }
        guard horizon.days > 0, horizon.days <= PlanLimits.horizonDays else {
            outOfRange(setting, allowed: "above 0 to 100 years")
            return nil
        }
        return horizon
    }

    /// A list of texts, or one text alone; each with its position.
    mutating func texts(
        _ setting: Setting?, limit: Int
    ) -> [(text: String, position: Position)]? {
        guard let setting else { return nil }
        if let scalar = setting.value.scalar {
            return [(scalar.string, Position(scalar.mark))]
        }
        guard case .sequence(let sequence) = setting.value else {
            wrongType(setting.name, setting.value, wanted: "a list of texts")
            return nil
        }
        guard sequence.count <= limit else {
            report(
                .tooLarge, at: setting.position,
                "\(setting.name) has \(sequence.count) entries, more than \(limit)")
            return nil
        }
        return sequence.compactMap { node in
            guard let scalar = node.scalar, !isEmpty(node) else {
                wrongType("an entry of \(setting.name)", node, wanted: "a text")
                return nil
            }
            return (scalar.string, Position(scalar.mark))
        }
    }

    // MARK: Messages

    mutating func missing(_ key: String, in section: Section, hint: String) {
        let name = section.name.isEmpty ? key : section.name + "." + key
        report(.missing, at: section.position, "\(name) is missing", hint: hint)
    }

    mutating func unknownValue(
        _ text: String, of name: String, at node: Node, among allowed: [String]
    ) {
        report(
            .unknownValue, at: Position(node.mark), "\(name) cannot be `\(text)`",
            hint: suggestion(for: text, among: allowed))
    }

    package mutating func outOfRange(_ setting: Setting, allowed: String) {
        report(
            .outOfRange, at: Position(setting.value.mark),
            "\(setting.name) is \(setting.value.scalar?.string ?? "out of range")",
            hint: "allowed: \(allowed)")
    }

    mutating func wrongType(_ name: String, _ node: Node, wanted: String) {
        report(
            .wrongType, at: Position(node.mark), "\(name) needs \(wanted), found \(describe(node))")
    }

    /// "did you mean …" where one is near, else all of a short list.
    func suggestion(for text: String, among allowed: [String]) -> String {
        if let nearest = nearestName(to: text, among: allowed) {
            return "did you mean `\(nearest)`?"
        }
        return allowed.count <= 20 ? "allowed: \(allowed.sorted().joined(separator: ", "))" : ""
    }

    // MARK: Nodes

    /// Nothing written after the colon, or an explicit null.
    func isEmpty(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else {
            return false
        }
        return ["", "~", "null"].contains(scalar.string)
    }

    /// Whether a scalar is written without quotes, as numbers and truth values are.
    func isPlain(_ node: Node) -> Bool {
        guard let scalar = node.scalar else { return false }
        return scalar.style == .plain || scalar.style == .any
    }

    private mutating func plainText(_ setting: Setting, wanted: String) -> String? {
        guard isPlain(setting.value), let scalar = setting.value.scalar else {
            wrongType(setting.name, setting.value, wanted: wanted)
            return nil
        }
        return scalar.string
    }

    private func describe(_ node: Node) -> String {
        switch node {
        case .scalar(let scalar):
            (isPlain(node) ? "" : "the quoted text ") + "`\(scalar.string.prefix(60))`"
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }

    private func short(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e9 ? String(Int(number)) : String(number)
    }
}
