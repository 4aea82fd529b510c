import Foundation

/// What the operating system says about the machine.
package struct Machine: Codable, Sendable, Equatable {
    package var processor: String
    package var cores: Int
    package var memoryBytes: Int
    /// Of one core.
    package var l1Bytes: Int
    /// Of one core.
    package var l2Bytes: Int
    /// Shared by the cores that share one.
    package var l3Bytes: Int

    private enum CodingKeys: String, CodingKey {
        case processor, cores
        case memoryBytes = "memory_bytes"
        case l1Bytes = "l1_bytes"
        case l2Bytes = "l2_bytes"
        case l3Bytes = "l3_bytes"
    }

    /// The machine that this runs on; usual cache sizes where the system names none.
    package static var current: Machine {
        let caches = cacheSizes()
        return Machine(
            processor: processorName() ?? "unknown",
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryBytes: Int(clamping: ProcessInfo.processInfo.physicalMemory),
            l1Bytes: caches[1] ?? 32 << 10, l2Bytes: caches[2] ?? 1 << 20,
            l3Bytes: caches[3] ?? 32 << 20)
    }

    /// Bytes of the data caches that core 0 uses, by level. Not from sysconf: on virtual machines it
    /// gives the host's third level.
    private static func cacheSizes() -> [Int: Int] {
        var sizes: [Int: Int] = [:]
        for index in 0..<8 {
            let folder = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
            guard let type = text(folder + "type"), type != "Instruction",
                let level = text(folder + "level").flatMap({ Int($0) }),
                let size = text(folder + "size").flatMap(byteCount)
            else { continue }
            sizes[level] = size
        }
        return sizes
    }

    /// `32K`, `1024K`, `32M`.
    static func byteCount(_ text: String) -> Int? {
        let units: [Character: Int] = ["K": 10, "M": 20, "G": 30]
        guard let unit = text.last else { return nil }
        guard let shift = units[unit] else { return Int(text) }
        return Int(text.dropLast()).flatMap { $0 > 0 && $0 < 1 << 30 ? $0 << shift : nil }
    }

    private static func processorName() -> String? {
        text("/proc/cpuinfo")?.split(separator: "\n")
            .first { $0.hasPrefix("model name") }?
            .split(separator: ":", maxSplits: 1).last
            .map { String($0.trimmingPrefix(" ")) }
    }

    private static func text(_ path: String) -> String? {
        // Files of the system say 0 bytes and hold more, so they are read to their end.
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        guard let data = try? file.readToEnd() else { return nil }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
