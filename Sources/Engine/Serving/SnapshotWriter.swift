import ColumnStore
import Foundation
import Numerical
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes a generation's folder.
///
/// ```
/// gen-000001/
///   lookup.arr      row strip, customer ids, id index      ArrayFile "patron.lookup"
///   affinity.arr    factors, who bought what, product ids  ArrayFile "patron.affinity", optional;
///                   that of an earlier generation under a second name where there is
///   affinity-changed.arr   the customers who have other rows since
///   offers.arr      products' details, purchase probabilities   ArrayFile "patron.offers", optional
///   segments.json   segment tables
///   profiles.json   what the segments are like, optional
///   scores.seg      all scores once more, for whoever takes them along; not served
///   SNAPSHOT        descriptor: sizes and checksums of the others
/// ```
/// All files are written and synced in a folder of another name, which is then renamed: a folder
/// called `gen-…` is always whole. Making it current is the manifest's business.
package enum SnapshotWriter {
    static let lookupName = "lookup.arr"
    static let lookupKind = "patron.lookup"
    static let segmentsName = "segments.json"
    static let profilesName = "profiles.json"

    /// `gen-000042`.
    package static func folderName(generation: Int) -> String {
        let digits = String(generation)
        return "gen-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    /// Writes the generation into `folder`, which is made if it is not there.
    /// - Parameters:
    ///   - contents: given up, so that each part's memory is free once it is written.
    /// - Returns: where the new generation lies.
    /// - Throws: `invalidSnapshotContents`, `snapshotExists`, `store`; the folder is then as
    ///   before.
    @discardableResult
    package static func write(
        _ contents: consuming SnapshotContents, into folder: String
    ) throws(EngineError) -> SnapshotLocation {
        try write(
            consume contents, scores: nil, into: folder, isProvisional: false, threadCount: 1)
    }

    /// - Parameters:
    ///   - scores: written beside as `scores.seg`.
    ///   - isProvisional: a signal removes the generation, until a manifest that names it is
    ///     committed with its folder in `settling`, or `PendingFiles.remove` removes it.
    static func write(
        _ contents: consuming SnapshotContents, scores: ScoreFile?, into folder: String,
        isProvisional: Bool, threadCount: Int
    ) throws(EngineError) -> SnapshotLocation {
        try contents.validate()
        let generation = contents.generation
        let name = folderName(generation: generation)
        let path = folder + "/" + name
        guard !FileManager.default.fileExists(atPath: path) else {
            throw .snapshotExists(path: path)
        }
        do throws(StoreError) {
            try makeFolder(folder)
            let temporary = "\(folder)/.\(name).\(getpid()).tmp"
            try PendingFiles.createFolder(temporary)
            do throws(StoreError) {
                try writeFiles(
                    consume contents, scores: scores, into: temporary, threadCount)
                try PendingFiles.renameFolder(
                    temporary, to: path, isProvisional: isProvisional)
            } catch {
                PendingFiles.remove(temporary)
                throw error
            }
            try syncFolder(folder)
        } catch {
            throw .store(error)
        }
        return SnapshotLocation(generation: generation, folder: path)
    }

    private static func makeFolder(_ path: String) throws(StoreError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        } catch {
            throw .system(SystemError(code: errno, operation: "mkdir", path: path))
        }
    }

    private static func writeFiles(
        _ contents: consuming SnapshotContents, scores: ScoreFile?, into folder: String,
        _ threadCount: Int
    ) throws(StoreError) {
        let productCount = contents.affinity?.productIDs.count ?? 0
        let factorCount = contents.affinity?.factorCount ?? 0
        // Its memory is free once it is written.
        let affinity = Mutex(contents.affinity)
        contents.affinity = nil
        let rest = contents
        // Two parts that each take one thread about as long.
        let written = parallelMap(count: 2, chunkSize: 1, threadCount: min(2, threadCount)) {
            index, _ -> Result<[SnapshotDescriptor.File], StoreError> in
            do throws(StoreError) {
                if index == 0 { return .success([try writeLookup(rest, into: folder)]) }
                var files: [SnapshotDescriptor.File] = []
                if let affinity = affinity.withLock({ $0.take() }) {
                    files = try AffinityFile.write(affinity, into: folder)
                }
                if let offers = rest.offers {
                    files.append(
                        try OfferFile.write(offers, factorCount: factorCount, into: folder))
                }
                try scores?.writeSegment(
                    to: "\(folder)/\(ScoreFile.name)", threadCount: threadCount)
                return .success(files)
            } catch {
                return .failure(error)
            }
        }
        var files: [SnapshotDescriptor.File] = []
        for part in written { files += try part.get() }
        files.append(try write(json: rest.segments, as: segmentsName, into: folder))
        if !rest.profiles.isEmpty {
            files.append(try write(json: rest.profiles, as: profilesName, into: folder))
        }
        var descriptor = SnapshotDescriptor(
            generation: rest.generation, asOf: rest.asOf, currency: rest.currency,
            customerCount: rest.customerIDs.count, productCount: productCount,
            models: rest.models, columnDescriptions: rest.columns.map(\.description), files: files)
        descriptor.history = rest.history
        try AtomicFile.write(
            try descriptor.encoded(), to: folder + "/" + SnapshotDescriptor.fileName)
    }

    private static func writeLookup(
        _ contents: SnapshotContents, into folder: String
    ) throws(StoreError) -> SnapshotDescriptor.File {
        var writer = ArrayFileWriter(kind: lookupKind)
        try RowStrip.add(
            status: contents.status, columns: contents.columns.map(\.stripColumn), to: &writer)
        try IDIndex.add(contents.customerIDs, to: &writer)
        let (byteCount, checksum) = try writer.write(to: folder + "/" + lookupName)
        return .init(name: lookupName, byteCount: byteCount, checksum: checksum)
    }

    private static func write(
        json value: some Encodable, as name: String, into folder: String
    ) throws(StoreError) -> SnapshotDescriptor.File {
        let bytes = try SnapshotDescriptor.json(value)
        let file = try AtomicFile(path: folder + "/" + name)
        try file.write(bytes)
        let result = SnapshotDescriptor.File(
            name: name, byteCount: file.byteCount, checksum: file.checksum)
        try file.commit()
        return result
    }
}

extension ScoreColumn {
    fileprivate var stripColumn: StripColumn {
        let stripValues: StripColumn.Values =
            switch values {
            case .int32(let values): .int32(values)
            case .float32(let values): .float32(values)
            case .float64(let values): .float64(values)
            }
        return StripColumn(id: id, name: name, unit: unit, values: stripValues, validity: valid)
    }
}
