import ColumnStore
import Dispatch
import Engine
import Foundation
import Synchronization
import TestSupport
import Testing

/// The file `LABELS` of a workspace.
@Suite struct LabelFileTests {
    @Test func isWrittenAndRead() throws {
        try withTemporaryFolder { folder in
            #expect(try GenerationLabels.load(folder.path) == .none)
            var labels = GenerationLabels.none
            labels.set("canary", to: 12)
            labels.set("b.2_x-Y", to: 3)
            try labels.save(folder.path)
            #expect(try GenerationLabels.load(folder.path) == labels)
            let text = try String(
                contentsOf: folder.appendingPathComponent("LABELS"), encoding: .utf8)
            #expect(text.hasPrefix("patron-labels 1 crc32c="))
            #expect(text.hasSuffix("\nb.2_x-Y 3\ncanary 12\n"))
            labels.remove("canary")
            try labels.save(folder.path)
            #expect(try GenerationLabels.load(folder.path).generations == ["b.2_x-Y": 3])
        }
    }

    /// Cut anywhere or changed anywhere, it is refused or says the same.
    @Test func damageIsRefused() throws {
        try withTemporaryFolder { folder in
            var labels = GenerationLabels.none
            labels.set("canary", to: 12)
            try labels.save(folder.path)
            let url = folder.appendingPathComponent("LABELS")
            let whole = try Data(contentsOf: url)
            for count in 0..<whole.count {
                try whole.prefix(count).write(to: url)
                #expect(throws: EngineError.self, "\(count) bytes") {
                    try GenerationLabels.load(folder.path)
                }
            }
            for bit in 0..<whole.count * 8 {
                var changed = whole
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                try changed.write(to: url)
                #expect(throws: EngineError.self, "bit \(bit)") {
                    try GenerationLabels.load(folder.path)
                }
            }
        }
    }

    @Test(arguments: [
        ("canary", true), ("a.b-c_D9", true), ("", false), ("stable", false), ("a b", false),
        ("ä", false), (String(repeating: "x", count: 64), true),
        (String(repeating: "x", count: 65), false),
    ])
    func names(name: String, isLabel: Bool) {
        #expect(GenerationLabels.isName(name) == isLabel)
    }

    /// Writers at once, as of two servers and a prune: each begins with what the one before left.
    @Test func writersLoseNothingOfEachOther() throws {
        try withTemporaryFolder { folder in
            let problems = Mutex<[String]>([])
            DispatchQueue.concurrentPerform(iterations: 4) { writer in
                for round in 1...40 {
                    do throws(EngineError) {
                        try GenerationLabels.change(folder.path) { labels in
                            labels.set("label-\(writer)", to: round)
                        }
                    } catch {
                        problems.withLock { $0.append(error.description) }
                    }
                }
            }
            #expect(problems.withLock { $0 } == [])
            let labels = try GenerationLabels.load(folder.path).generations
            #expect(labels == ["label-0": 40, "label-1": 40, "label-2": 40, "label-3": 40])
        }
    }

    @Test func whoHoldsThemForLongIsNamed() throws {
        try withTemporaryFolder { folder in
            let held = try FolderLock(folder: folder.path, name: GenerationLabels.lockName)
            let error = #expect(throws: EngineError.self) {
                try GenerationLabels.change(folder.path) { $0.remove("a") }
            }
            guard case .store(.locked(_, let holder))? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(holder == ProcessInfo.processInfo.processIdentifier)
            withExtendedLifetime(held) {}
        }
    }
}
