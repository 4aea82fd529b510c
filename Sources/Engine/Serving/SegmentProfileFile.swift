import ByteCoding
import ColumnStore
import Foundation
import Synchronization

/// `profiles.json` of a generation: mapped when the generation is opened, so that a prune takes
/// nothing away from who serves it, and decoded when somebody first asks.
final class SegmentProfileFile: Sendable {
    /// More than 1,024 segments by 1,000 features.
    private static let largestByteCount = 512 << 20

    private let path: String
    private let file: MappedFile
    private let decoded = Mutex<Result<[String: SegmentProfile], EngineError>?>(nil)

    /// - Throws: `store` where it cannot be opened.
    init(path: String) throws(EngineError) {
        self.path = path
        do throws(StoreError) { file = try MappedFile(path: path) } catch { throw .store(error) }
    }

    /// Nil for a segmentation without a profile.
    /// - Throws: `damagedSnapshot` for bytes that are no profiles.
    func profile(of segmentation: String) throws(EngineError) -> SegmentProfile? {
        let result = decoded.withLock { decoded in
            if let decoded { return decoded }
            let result = Result { () throws(EngineError) in try decode() }
            decoded = result
            return result
        }
        return try result.get()[segmentation]
    }

    private func decode() throws(EngineError) -> [String: SegmentProfile] {
        guard file.byteCount <= Self.largestByteCount else {
            throw damage("\(file.byteCount) bytes, at most \(Self.largestByteCount) are read")
        }
        let bytes: [UInt8] = file.withBytes { $0.lanes(at: 0, count: $0.byteCount) ?? [] }
        let profiles: [SegmentProfile]
        do {
            profiles = try JSONDecoder().decode([SegmentProfile].self, from: Data(bytes))
        } catch {
            throw damage("unreadable: \(error)")
        }
        var byName: [String: SegmentProfile] = [:]
        for profile in profiles {
            guard profile.isWhole else {
                throw damage("a profile of \(profile.segmentation) lacks segments")
            }
            byName[profile.segmentation] = profile
        }
        return byName
    }

    private func damage(_ reason: String) -> EngineError {
        .damagedSnapshot(path: path, byteOffset: 0, reason: reason)
    }
}
