import Foundation
import Logging
import Server
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The log's lines, and that nobody waits for who reads them.
@Suite struct LogTests {
    /// Both ends of a pipe.
    private func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        #if canImport(Glibc)
        try #require(Glibc.pipe(&ends) == 0)
        #else
        try #require(Darwin.pipe(&ends) == 0)
        #endif
        return (ends[0], ends[1])
    }

    private func readLines(_ descriptor: Int32) -> [String] {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            text += buffer[..<count]
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func jsonLines() throws {
        let (reader, descriptor) = try pipe()
        let writer = LogWriter(format: .json, descriptor: descriptor)
        let logger = writer.logger("test", level: .info)
        logger.debug("left out")
        logger.info(
            "a \"word\"\nand a line",
            metadata: ["peer": "127.0.0.1", "level": "deep", "list": ["a", "b\u{1}"]])
        writer.flush(within: .seconds(10))
        close(descriptor)
        let lines = readLines(reader)
        close(reader)
        #expect(lines.count == 1)
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
        #expect(object["message"] as? String == "a \"word\"\nand a line")
        #expect(object["level"] as? String == "info")
        #expect(object["level_"] as? String == "deep")
        #expect(object["peer"] as? String == "127.0.0.1")
        #expect(object["list"] as? [String] == ["a", "b\u{1}"])
        let time = try #require(object["time"] as? String)
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        let date = try #require(formatter.date(from: time))
        #expect(abs(date.timeIntervalSinceNow) < 60)
    }

    @Test func textLines() throws {
        let (reader, descriptor) = try pipe()
        let writer = LogWriter(format: .text, descriptor: descriptor)
        let logger = writer.logger("test", level: .warning)
        logger.info("left out")
        logger.error("it broke", metadata: ["b": "two words", "a": "1", "c": "x\ninfo forged"])
        writer.flush(within: .seconds(10))
        close(descriptor)
        let lines = readLines(reader)
        close(reader)
        #expect(lines.count == 1)
        #expect(lines[0].hasSuffix("Z error it broke a=1 b=\"two words\" c=\"x\\ninfo forged\""))
    }

    /// Nobody reads the pipe: logging goes on at its pace, what does not fit is dropped and counted, and
    /// said when there is a reader again.
    @Test func aSlowReaderHoldsNobodyUp() async throws {
        let (reader, descriptor) = try pipe()
        let writer = LogWriter(format: .text, descriptor: descriptor, capacity: 100)
        let logger = writer.logger("test", level: .info)
        let text = String(repeating: "x", count: 200)
        let lineCount = 20_000
        let clock = ContinuousClock()
        let start = clock.now
        for _ in 0..<lineCount { logger.info("\(text)") }
        // 4 MB into a pipe of 64 KiB that nobody reads.
        #expect(clock.now - start < .seconds(20))
        #expect(writer.droppedCount > 0)
        // A thread of its own: those of tasks may all be busy with other tests.
        let read = Mutex<[String]?>(nil)
        Thread.detachNewThread { [self] in
            let lines = readLines(reader)
            read.withLock { $0 = lines }
        }
        writer.flush(within: .seconds(120))
        logger.info("the last line")
        writer.flush(within: .seconds(120))
        close(descriptor)
        for _ in 0..<24_000 where read.withLock({ $0 == nil }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        let lines = try #require(read.withLock { $0 })
        close(reader)
        let dropped = writer.droppedCount
        let said = lines.filter { $0.contains("log lines dropped") }
            .compactMap { $0.split(separator: "=").last.flatMap { Int($0) } }.reduce(0, +)
        #expect(said == dropped)
        // The last line may be dropped too.
        let written = lines.count { $0.contains(text) || $0.contains("the last line") }
        #expect(written == lineCount + 1 - dropped)
        #expect(lines.last?.contains("the last line") ?? false || said > 0)
    }
}
