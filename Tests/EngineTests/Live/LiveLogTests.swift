import ByteCoding
import ColumnStore
import Engine
import Foundation
import Ingest
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#endif

@Suite struct LiveLogTests {
    /// A log beside a manifest: what is needed of a workspace to append.
    private func inWorkspace(_ body: (String) throws -> Void) throws {
        try withTemporaryFolder { folder in
            try Manifest().commit(to: folder.path)
            try body(folder.path)
        }
    }

    private func lines(_ count: Int, first: Int = 0) -> PurchaseLines {
        PurchaseLines(
            customerIDs: .integers((0..<count).map { Int64(first + $0) }),
            times: (0..<count).map { 1_700_000_000 + Int64($0) },
            amounts: (0..<count).map { Int64($0) * 10_000 })
    }

    private func key(_ number: Int) -> LogKey { LogKey(first: UInt64(number), second: 1) }

    private func sequences(_ folder: String) throws -> [(Int, Int)] {
        var cursor = LogCursor(folder: Workspace.liveFolder(folder), from: .start)
        var result: [(Int, Int)] = []
        while let record = try cursor.next() { result.append((record.sequence, record.rowCount)) }
        return result
    }

    @Test func aKeyThatComesAgainGetsTheFirstReceipt() throws {
        try inWorkspace { folder in
            do {
                let log = try LiveLog(workspace: folder)
                let results = log.append([
                    LiveBatch(key: key(1), lines: lines(3)), LiveBatch(lines: lines(2)),
                    LiveBatch(key: key(1), lines: lines(9)), LiveBatch(lines: lines(2)),
                ])
                let receipts = try results.map { try $0.get() }
                #expect(receipts.map(\.sequence) == [0, 1, 0, 2])
                #expect(receipts.map(\.rowCount) == [3, 2, 3, 2])
                #expect(receipts.map(\.isRepeat) == [false, false, true, false])
                // Its thread may have it a moment longer otherwise.
                log.drain()
            }
            // After a restart as well.
            let log = try LiveLog(workspace: folder)
            let receipts = try log.append([
                LiveBatch(key: key(1), lines: lines(3)), LiveBatch(key: key(2), lines: lines(1)),
            ]).map { try $0.get() }
            #expect(receipts.map(\.sequence) == [0, 3])
            #expect(receipts.map(\.isRepeat) == [true, false])
            #expect(try sequences(folder).map(\.1) == [3, 2, 2, 1])
            #expect(log.position.sequence == 4)
        }
    }

    @Test func aSecondServerIsRefused() throws {
        try inWorkspace { folder in
            let log = try LiveLog(workspace: folder)
            do throws(EngineError) {
                _ = try LiveLog(workspace: folder)
                Issue.record("two logs are open")
            } catch {
                #expect(error.description.contains("in use by process"))
            }
            log.drain()
        }
    }

    /// Batches of many threads: each is there once, and answers come in the order of the log.
    @Test func manyAppend() throws {
        try inWorkspace { folder in
            let log = try LiveLog(workspace: folder, rotationByteCount: 10_000)
            let threads = 8
            let each = 50
            let answers = Mutex([Int]())
            DispatchQueue.concurrentPerform(iterations: threads) { thread in
                for number in 0..<each {
                    let batch = LiveBatch(
                        key: key(thread * each + number + 1), lines: lines(number % 7 + 1))
                    if number % 2 == 0 {
                        _ = log.append([batch, batch])
                    } else {
                        log.submit(batch) { result in
                            if let receipt = try? result.get() {
                                answers.withLock { $0.append(receipt.sequence) }
                            }
                        }
                    }
                }
            }
            log.drain()
            let found = try sequences(folder)
            #expect(found.map(\.0) == Array(0..<threads * each))
            var counts = [Int](repeating: 0, count: 8)
            for (_, rowCount) in found { counts[rowCount] += 1 }
            var expected = [Int](repeating: 0, count: 8)
            for number in 0..<each { expected[number % 7 + 1] += threads }
            #expect(counts == expected)
            let order = answers.withLock(\.self)
            #expect(order.count == threads * each / 2 && order == order.sorted())
            #expect(LogFormat.fileNumbers(in: Workspace.liveFolder(folder)).count > 1)
        }
    }

    /// What waits has a limit; a batch alone always goes.
    @Test func tooMuchThatWaitsIsRefused() throws {
        try inWorkspace { folder in
            let log = try LiveLog(workspace: folder, waitingLimit: 1)
            let blocker = DispatchSemaphore(value: 0)
            let begun = DispatchSemaphore(value: 0)
            log.submit(LiveBatch(lines: lines(1))) { _ in
                begun.signal()
                blocker.wait()
            }
            begun.wait()
            let results = Mutex([Bool]())
            for _ in 0..<2 {
                log.submit(LiveBatch(lines: lines(1))) { result in
                    results.withLock { $0.append((try? result.get()) != nil) }
                }
            }
            blocker.signal()
            log.drain()
            // One waits alone, whatever its size; one more is too much.
            #expect(results.withLock(\.self).count == 2)
            #expect(results.withLock { $0.count { $0 } } == 1)
        }
    }

    #if canImport(Glibc)
    @Test func aFullDiskRefusesAndTheLogGoesOn() throws {
        try inWorkspace { folder in
            let log = try LiveLog(workspace: folder)
            _ = log.append([LiveBatch(lines: lines(1))])
            // Files may not become larger than this, as on a full disk.
            var old = rlimit()
            #expect(getrlimit(__rlimit_resource_t(1), &old) == 0)
            signal(SIGXFSZ, SIG_IGN)
            defer { signal(SIGXFSZ, SIG_DFL) }
            let position = log.position.byteOffset
            var small = old
            small.rlim_cur = rlim_t(position + 500)
            #expect(setrlimit(__rlimit_resource_t(1), &small) == 0)
            let results = log.append([
                LiveBatch(key: key(1), lines: lines(2)), LiveBatch(key: key(2), lines: lines(400)),
            ])
            #expect(setrlimit(__rlimit_resource_t(1), &old) == 0)
            #expect(results.count == 2)
            #expect((try? results[1].get()) == nil)
            let kept = try results[0].get()
            #expect(kept.sequence == 1)
            let again = try log.append([
                LiveBatch(key: key(1), lines: lines(2)), LiveBatch(key: key(2), lines: lines(400)),
            ]).map { try $0.get() }
            #expect(again.map(\.sequence) == [1, 2] && again.map(\.isRepeat) == [true, false])
            #expect(try sequences(folder).map(\.1) == [1, 2, 400])
        }
    }

    #endif

    /// Keys of files that were removed are forgotten on request, others are not.
    @Test func forgetsWhatIsPruned() throws {
        try inWorkspace { folder in
            let log = try LiveLog(workspace: folder, rotationByteCount: 1)
            for number in 1...4 { _ = log.append([LiveBatch(key: key(number), lines: lines(1))]) }
            let live = Workspace.liveFolder(folder)
            try FileManager.default.removeItem(atPath: "\(live)/\(LogFormat.fileName(1))")
            try log.forgetPruned()
            let receipts = try log.append((1...2).map { LiveBatch(key: key($0), lines: lines(1)) })
                .map { try $0.get() }
            #expect(
                receipts.map(\.sequence) == [4, 1] && receipts.map(\.isRepeat) == [false, true])
        }
    }

    /// A receipt certifies who was erased: a key stands for those customers alone.
    @Test func aKeyOfAnErasureIsItsAlone() throws {
        try inWorkspace { folder in
            let customers = IDColumn.integers([5, 3, 5])
            do {
                let log = try LiveLog(workspace: folder)
                #expect(log.knownErasures.isEmpty)
                _ = try #require(log.append([LiveBatch(key: key(1), lines: lines(3))]).first).get()
                let first = try log.append(
                    LoggedErasure(customerIDs: customers, time: 100), key: key(2))
                #expect(
                    first
                        == LiveReceipt(sequence: 1, rowCount: 2, isRepeat: false, erasedAt: 100))
                let again = try log.append(
                    LoggedErasure(customerIDs: .integers([3, 5]), time: 200), key: key(2))
                #expect(
                    again == LiveReceipt(sequence: 1, rowCount: 2, isRepeat: true, erasedAt: 100))
                log.drain()
            }
            let log = try LiveLog(workspace: folder)
            #expect(
                log.knownErasures == [
                    RecordedErasure(sequence: 1, customerIDs: .integers([3, 5]), time: 100)
                ])
            let again = try log.append(
                LoggedErasure(customerIDs: customers, time: 300), key: key(2))
            #expect(again.isRepeat && again.erasedAt == 100)
            #expect(throws: EngineError.liveKeyReused) {
                try log.append(LoggedErasure(customerIDs: .integers([3]), time: 1), key: key(2))
            }
            #expect(throws: EngineError.liveKeyReused) {
                try log.append(LoggedErasure(customerIDs: customers, time: 1), key: key(1))
            }
            #expect(throws: EngineError.liveKeyReused) {
                try #require(log.append([LiveBatch(key: key(2), lines: lines(3))]).first).get()
            }
            #expect(try sequences(folder).map(\.0) == [0, 1])
            log.drain()
        }
    }

    /// Lines before an erasure are forgotten, later ones are a new customer's.
    @Test func customersForgetWhatWasBeforeAnErasure() throws {
        try inWorkspace { folder in
            let log = try LiveLog(workspace: folder)
            _ = log.append([LiveBatch(lines: lines(4)), LiveBatch(lines: lines(2))])
            _ = try log.append(
                LoggedErasure(customerIDs: .integers([1, 3, 99]), time: 100), key: key(2))
            _ = log.append([LiveBatch(lines: lines(2))])
            log.drain()
            var live = LiveCustomers(since: .start)
            live.add(lines(4), sequence: 0)
            live.add(lines(2), sequence: 1)
            #expect(live.erase(.integers([1, 3, 99]), sequence: 2) == [true, true, false])
            #expect(live.erase(.integers([0]), sequence: 2) == [])
            live.add(lines(2), sequence: 3)
            let read = try LiveCustomers(workspace: folder, since: .start)
            for live in [live, read] {
                // Of 0 and 2 all, of 1 the last.
                #expect(live.lineCount == 5 && live.customerCount == 3)
                #expect(Set(live.customers) == [.integer(0), .integer(1), .integer(2)])
                #expect(live.erasure(of: .integer(1)) == 2 && live.erasure(of: .integer(2)) == nil)
                #expect(Set(live.erased(from: 2)) == [.integer(1), .integer(3), .integer(99)])
                #expect(live.erased(from: 3) == [])
                #expect(Set(live.erasedWithoutLines(from: 0)) == [.integer(3), .integer(99)])
                #expect(!live.isErasedWithoutLines(.integer(1)))
            }
            live.forget(before: LogPosition(file: 1, byteOffset: 64, sequence: 3))
            #expect(live.erasure(of: .integer(1)) == nil && live.lineCount == 2)
        }
    }
}
