package import Numerical

/// What a run reports: one list of fields, printed as a JSON object or as a table.
package struct LabReport: Encodable, Sendable, Equatable {
    package enum Value: Sendable, Equatable {
        case integer(Int)
        case number(Double)
        case numbers([Double])
        /// A table: one report a row, all of the same keys.
        case rows([LabReport])
        case text(String)
        case truth(Bool)
    }

    /// In the order in which they are shown; keys are words joined by underscores, the unit last.
    package private(set) var fields: [(key: String, value: Value)] = []
    /// What a reader should know beside the fields, such as why one is left out; whole sentences.
    /// Not part of the JSON object.
    package private(set) var notes: [String] = []

    package init() {}

    package mutating func add(_ key: String, _ value: Value) { fields.append((key, value)) }

    package subscript(key: String) -> Value? { fields.first { $0.key == key }?.value }

    /// The number of a field; nil where it is missing or no number.
    package func number(_ key: String) -> Double? {
        switch self[key] {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    package static func == (left: LabReport, right: LabReport) -> Bool {
        left.notes == right.notes
            && left.fields.elementsEqual(right.fields) { $0.key == $1.key && $0.value == $1.value }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (key, value) in fields {
            let key = Key(stringValue: key)
            switch value {
            case .integer(let value): try container.encode(value, forKey: key)
            case .number(let value): try container.encode(value, forKey: key)
            case .numbers(let value): try container.encode(value, forKey: key)
            case .rows(let value): try container.encode(value, forKey: key)
            case .text(let value): try container.encode(value, forKey: key)
            case .truth(let value): try container.encode(value, forKey: key)
            }
        }
    }
}

/// What all runs have in common.
package struct LabSetting: Sendable {
    /// At least 1; changes no result.
    package var threadCount: Int
    /// Must be available on this machine.
    package var level: ISALevel
    /// How often the timed part runs, at least 1.
    package var repeatCount: Int
    /// Limits of this machine to compare with, as `patron roofline --json` prints them.
    package var rooflinePath: String?

    package init(
        threadCount: Int = 1, level: ISALevel, repeatCount: Int = 1, rooflinePath: String? = nil
    ) {
        precondition(threadCount >= 1 && repeatCount >= 1)
        self.threadCount = threadCount
        self.level = level
        self.repeatCount = repeatCount
        self.rooflinePath = rooflinePath
    }

    var kernels: KernelTable { KernelTable(level) }
}

/// Seconds that `work` takes, and what it gives.
func timed<Value, Failure: Error>(
    _ work: () throws(Failure) -> Value
) throws(Failure) -> (value: Value, seconds: Double) {
    let clock = ContinuousClock()
    let start = clock.now
    let value = try work()
    return (value, (clock.now - start) / .seconds(1))
}

/// The middle value, or the mean of the two middle ones.
/// - Precondition: not empty.
func median(_ values: [Double]) -> Double {
    precondition(!values.isEmpty)
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

extension LabReport {
    /// The part about how it was run and how long the timed part took.
    mutating func add(_ setting: LabSetting, samples: [Double], as key: String) {
        add("threads", .integer(setting.threadCount))
        add("isa", .text(setting.level.rawValue))
        add("repeats", .integer(samples.count))
        add("\(key)_samples", .numbers(samples))
    }

    /// The limit that binds `demand` and the share of it that was reached, where limits are given;
    /// where the one needed is not among them, a note.
    mutating func add(
        _ demand: Demand, seconds: Double, _ roofline: Roofline?, _ setting: LabSetting
    ) {
        guard let roofline, let path = setting.rooflinePath else { return }
        let names = roofline.limitNames(
            of: demand, threadCount: setting.threadCount, level: setting.level)
        let missing = names.filter { roofline.limits[$0] == nil }
        guard missing.isEmpty,
            let bound = roofline.bound(
                of: demand, threadCount: setting.threadCount, level: setting.level)
        else {
            notes.append(
                "No limit is named: \(path) has no \(missing.joined(separator: " and no ")); "
                    + "measure them with: patron roofline --json > roofline.json")
            return
        }
        guard seconds > 0 else {
            notes.append("No limit is named: the run was too short to be timed")
            return
        }
        add("limit", .text(bound.limit))
        add("limit_seconds", .number(bound.seconds))
        add("limit_share", .number(bound.seconds / seconds))
    }
}
