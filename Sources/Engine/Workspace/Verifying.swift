import ByteCoding
import ColumnStore
import Foundation

/// What reading every byte of a workspace found.
package struct VerifyReport: Codable, Sendable, Equatable {
    package struct Problem: Codable, Sendable, Equatable {
        /// Relative to the workspace.
        package var file: String
        /// What is wrong, where in the file, and what to do.
        package var text: String
    }

    package var fileCount = 0
    package var byteCount = 0
    package var purchaseLineCount = 0
    package var customerCount = 0
    /// Live purchase lines that wait for the next ingest.
    package var liveLineCount = 0
    /// Erasures that wait for it.
    package var liveErasureCount = 0
    package var problems: [Problem] = []
    /// Files that only save the next scoring time: it does without the damaged ones. No problem.
    package var damagedCaches: [Problem] = []
    /// Files that nothing refers to, left by an interrupted command: `prune` removes them. No
    /// problem.
    package var unnamed: [String] = []
}

extension Workspace {
    /// Reads every file that the manifest names and checks what it holds against its checksums and
    /// against the other files. Changes nothing, and goes on after a problem.
    /// - Parameter report: gets a line about each file begun.
    /// - Complexity: O(bytes); one column, one block or one table in memory at a time.
    package func verify(report: (String) -> Void = { _ in }) -> VerifyReport {
        var verification = Verification(workspace: self)
        verification.checkManifest()
        verification.checkOrigin()
        verification.checkLabels()
        for segment in manifest.purchaseSegments {
            report(segment.file)
            verification.checkPurchases(segment)
        }
        for (segments, kind) in [
            (manifest.customerSegments, "customers"), (manifest.productSegments, "products"),
        ] {
            for segment in segments {
                report(segment.file)
                verification.checkEntities(segment, kind)
            }
        }
        report("live")
        verification.checkLive()
        for (name, ledger) in (manifest.ledgers ?? [:]).sorted(by: { $0.key < $1.key }) {
            report("ledger of \(name)")
            verification.checkLedger(ledger, name)
        }
        for model in manifest.models {
            report(model.file)
            verification.checkModel(model)
        }
        for generation in manifest.generations {
            report(generation.folder)
            verification.checkGeneration(generation)
        }
        for file in names(in: "cache") where file.hasSuffix(".arr") {
            verification.checkCache(file)
        }
        var result = verification.result
        // What another process published and pruned meanwhile is gone, not damaged.
        let now = (try? Self.loadManifest(folder)) ?? manifest
        if !result.problems.isEmpty, now != manifest {
            let named =
                now.fileNames + [
                    Manifest.fileName, Origin.fileName, GenerationLabels.fileName, "live",
                ]
            result.problems.removeAll { problem in
                !named.contains { problem.file == $0 || problem.file.hasPrefix("\($0)/") }
            }
        }
        result.unnamed = unnamedFiles(of: now)
        return result
    }
}

/// The checks of one run; each adds its problems and never ends the run.
struct Verification {
    let workspace: Workspace
    var result = VerifyReport()
    /// The kind of the first ids met, by table.
    private var holdsTexts: [String: Bool] = [:]

    init(workspace: Workspace) { self.workspace = workspace }

    var manifest: Manifest { workspace.manifest }

    mutating func add(_ file: String, _ text: String) {
        result.problems.append(VerifyReport.Problem(file: file, text: text))
    }

    private func path(_ file: String) -> String { "\(workspace.folder)/\(file)" }

    /// Runs a check; what it throws is the file's problem.
    mutating func check(
        _ file: String, _ body: (inout Verification) throws(EngineError) -> Void
    ) {
        do throws(EngineError) { try body(&self) } catch { add(file, error.description) }
    }

    // MARK: - The manifest itself

    mutating func checkManifest() {
        let name = Manifest.fileName
        let segments =
            manifest.purchaseSegments + manifest.customerSegments + manifest.productSegments
            + manifest.ledgerSegments
        let files = segments.map(\.file) + manifest.models.map(\.file)
        for (file, uses) in Dictionary(grouping: files, by: \.self) where uses.count > 1 {
            add(name, "it names \(file) \(uses.count) times: restore an earlier copy of it")
        }
        for file in files where file.hasPrefix("/") || file.split(separator: "/").contains("..") {
            add(name, "it names \(file), outside the workspace: restore an earlier copy of it")
        }
        for segment in segments where fileNumber(segment.file) >= manifest.nextFileNumber {
            add(
                name,
                "the next file is number \(manifest.nextFileNumber), but \(segment.file) is there")
        }
        if let current = manifest.currentGeneration,
            !manifest.generations.contains(where: { $0.number == current })
        {
            add(
                name, "generation \(current) is current and not there: publish another generation")
        }
        let accepted = manifest.sources.filter { ["live", "purchases"].contains($0.kind) }
            .reduce(0) { $0 + $1.acceptedCount }
        let erased = (manifest.erasures ?? []).reduce(0) { $0 + $1.lineCount }
        let held = manifest.purchaseSegments.reduce(0) { $0 + $1.rowCount }
        if accepted - erased != held {
            let rest = erased > 0 ? " and \(erased) of them erased" : ""
            add(
                name,
                "\(accepted) purchase lines were accepted\(rest), the segment files hold \(held): "
                    + "a segment file is missing from the list, or was added to it")
        }
    }

    mutating func checkLabels() {
        check(GenerationLabels.fileName) { verification throws(EngineError) in
            let labels = try GenerationLabels.load(verification.workspace.folder)
            let known = Set(verification.manifest.generations.map(\.number))
            for (label, generation) in labels.generations.sorted(by: { $0.key < $1.key })
            where !known.contains(generation) {
                verification.add(
                    GenerationLabels.fileName,
                    "the label \(label) names generation \(generation), which is not there: "
                        + "remove the label")
            }
        }
    }

    mutating func checkOrigin() {
        check(Origin.fileName) { verification throws(EngineError) in
            _ = try Origin(folder: verification.workspace.folder)
        }
    }

    /// 42 of `purchases/000042.seg`; -1 for another name.
    private func fileNumber(_ file: String) -> Int {
        let name = file.split(separator: "/").last ?? ""
        return Int(name.prefix { $0.isNumber }) ?? -1
    }

    // MARK: - Segment files

    /// Size and checksum of a whole file.
    private mutating func checkBytes(
        _ file: String, byteCount: Int, checksum: UInt32
    ) throws(EngineError) {
        let path = path(file)
        result.fileCount += 1
        try mapErrors(EngineError.store) { () throws(StoreError) in
            let mapped = try MappedFile(path: path)
            result.byteCount += mapped.byteCount
            guard mapped.byteCount == byteCount else {
                throw .corrupt(
                    path: path, byteOffset: min(byteCount, mapped.byteCount),
                    reason: "the file has \(mapped.byteCount) bytes, \(byteCount) were written")
            }
            let actual = mapped.withBytes { CRC32C.checksum($0) }
            guard actual == checksum else {
                throw .checksumMismatch(
                    path: path, byteOffset: 0, part: "the whole file", actual: actual,
                    expected: checksum)
            }
        }
    }

    private func reader(_ segment: Manifest.Segment) throws(EngineError) -> SegmentReader {
        let path = path(segment.file)
        return try mapErrors(EngineError.store) { () throws(StoreError) in
            let reader = try SegmentReader(path: path)
            guard reader.rowCount == segment.rowCount else {
                throw .corrupt(
                    path: path, byteOffset: 0,
                    reason: "\(reader.rowCount) rows, the manifest says \(segment.rowCount)")
            }
            return reader
        }
    }

    private mutating func requireKind(
        _ isText: Bool, of table: String
    ) throws(EngineError) {
        if let known = holdsTexts[table], known != isText { throw .idKindMismatch(table: table) }
        holdsTexts[table] = isText
    }

    mutating func checkPurchases(_ segment: Manifest.Segment) {
        // The checksum of the whole file first; where it fails, that of a chunk says where.
        check(segment.file) { (run) throws(EngineError) in
            try run.checkBytes(
                segment.file, byteCount: segment.byteCount, checksum: segment.checksum)
        }
        check(segment.file) { (run) throws(EngineError) in
            let reader = try run.reader(segment)
            run.result.purchaseLineCount += reader.rowCount
            let summary = try mapErrors(EngineError.store) { () throws(StoreError) in
                try reader.verify()
                return try PurchaseSegments.verifyOrder(reader)
            }
            if let isText = summary.holdsTexts { try run.requireKind(isText, of: "customer") }
            guard summary.firstTime == segment.firstTime, summary.lastTime == segment.lastTime
            else {
                throw .store(
                    .corrupt(
                        path: reader.path, byteOffset: 0,
                        reason: "the first or last time is not the manifest's"))
            }
        }
    }

    mutating func checkEntities(_ segment: Manifest.Segment, _ kind: String) {
        check(segment.file) { (run) throws(EngineError) in
            try run.checkBytes(
                segment.file, byteCount: segment.byteCount, checksum: segment.checksum)
        }
        check(segment.file) { (run) throws(EngineError) in
            let reader = try run.reader(segment)
            try mapErrors(EngineError.store) { () throws(StoreError) in try reader.verify() }
            guard let table = try EntitySegments.read([reader.path]), table.count > 0 else {
                return
            }
            let isText = if case .texts = table.ids { true } else { false }
            try run.requireKind(isText, of: kind == "customers" ? "customer" : "product")
        }
    }

    // MARK: - Ledgers

    mutating func checkLedger(_ ledger: Manifest.Ledger, _ name: String) {
        let days = ledger.dayNumbers
        if days.count != ledger.days.count || days.isEmpty
            || zip(days, days.dropFirst()).contains(where: { $0 >= $1 })
        {
            add(
                Manifest.fileName,
                "the days of the ledger of \(name) do not ascend: restore an earlier copy of it")
        }
        var all: SegmentStays?
        let problemCount = result.problems.count
        // Those that go on are the last of each customer.
        for segment in ledger.segments.dropFirst() + [ledger.open] {
            check(segment.file) { (run) throws(EngineError) in
                try run.checkBytes(
                    segment.file, byteCount: segment.byteCount, checksum: segment.checksum)
            }
            check(segment.file) { (run) throws(EngineError) in
                let reader = try run.reader(segment)
                let stays = try mapErrors(EngineError.store) { () throws(StoreError) in
                    try SegmentStays(reader)
                }
                var flaw = stays.flaw(days: days)
                if (stays.left == nil) != (segment == ledger.open) {
                    flaw = "stays that go on are among those that have ended, or the reverse"
                } else if segment == ledger.last, let left = stays.left,
                    !left.allSatisfy({ $0 == days.last })
                {
                    flaw = "a stay did not end on the last day"
                }
                if let flaw {
                    throw .store(.corrupt(path: reader.path, byteOffset: 0, reason: flaw))
                }
                if stays.count > 0 {
                    let isText = if case .texts = stays.customers { true } else { false }
                    try run.requireKind(isText, of: "customer")
                }
                var next = stays
                if next.left == nil { next.left = [Int32](repeating: .max, count: next.count) }
                if let before = all {
                    all = try mapErrors(EngineError.store) { () throws(StoreError) in
                        try before.merged(with: next, from: reader.path)
                    }
                } else {
                    all = next
                }
            }
        }
        if result.problems.count == problemCount, all?.haveOverlaps == true {
            add(ledger.open.file, "the ledger of \(name) has a customer in two segments at once")
        }
    }

    // MARK: - Models

    mutating func checkModel(_ model: Manifest.Model) {
        check(model.file) { (run) throws(EngineError) in
            try run.checkBytes(model.file, byteCount: model.byteCount, checksum: model.checksum)
        }
        check(model.file) { (run) throws(EngineError) in
            let path = run.path(model.file)
            let card = try ModelStore.readCard(from: path)
            guard card.name == model.name, card.version == model.version else {
                throw .damagedModel(
                    path: path,
                    reason: "it holds \(card.name) version \(card.version), the manifest says "
                        + "\(model.name) version \(model.version)")
            }
            try mapErrors(EngineError.store) { () throws(StoreError) in
                try ArrayFile(path: path).verify()
            }
        }
    }

    // MARK: - Snapshots

    mutating func checkGeneration(_ generation: Manifest.Generation) {
        check(generation.folder) { (run) throws(EngineError) in
            let folder = run.path(generation.folder)
            let snapshot = try ServingSnapshot(
                SnapshotLocation(generation: generation.number, folder: folder))
            run.result.fileCount += snapshot.descriptor.files.count + 1
            run.result.byteCount += folderByteCount(folder)
            if generation.number == run.manifest.currentGeneration {
                run.result.customerCount = snapshot.customerCount
            }
            try run.checkRows(snapshot, folder)
            for model in snapshot.models
            where !run.manifest.models.contains(where: {
                $0.name == model.name && $0.version == model.version
                    && $0.checksum == model.checksum
            }) {
                run.add(
                    generation.folder,
                    "its scores are of \(model.name) version \(model.version), which the "
                        + "workspace does not have as it was: score again")
            }
            let scores = "\(folder)/\(ScoreFile.name)"
            try mapErrors(EngineError.store) { () throws(StoreError) in
                let reader = try SegmentReader(path: scores)
                try reader.verify()
                guard reader.rowCount == snapshot.customerCount else {
                    throw .corrupt(
                        path: scores, byteOffset: 0,
                        reason: "\(reader.rowCount) rows for \(snapshot.customerCount) customers")
                }
            }
        }
    }

    // MARK: - What saves time

    mutating func checkCache(_ file: String) {
        do throws(StoreError) {
            result.byteCount += try ArrayFile(path: path(file)).byteCount
            result.fileCount += 1
        } catch {
            result.damagedCaches.append(
                VerifyReport.Problem(
                    file: file, text: "\(error); the next scoring does without it"))
        }
    }

    /// Every customer is found by its id, ids ascend, and what a record says it has is a number.
    private func checkRows(_ snapshot: ServingSnapshot, _ folder: String) throws(EngineError) {
        func damaged(_ reason: String) -> EngineError {
            .damagedSnapshot(
                path: "\(folder)/\(SnapshotWriter.lookupName)", byteOffset: 0, reason: reason)
        }
        var previous: EntityID?
        for row in 0..<snapshot.customerCount {
            let id = snapshot.customers[row]
            if let previous, previous >= id {
                throw damaged("the id of row \(row) does not ascend")
            }
            previous = id
            guard snapshot.row(of: id) == row else {
                throw damaged("the id of row \(row) is not found there")
            }
            guard ScoreStatus(rawValue: snapshot.strip.status(row: row)) != nil else {
                throw damaged("row \(row) has a status that does not exist")
            }
            for field in snapshot.columns.indices {
                if let value = snapshot.strip.value(field: field, row: row), !value.isFinite {
                    throw damaged(
                        "\(snapshot.columns[field].name) of row \(row) is not a finite number")
                }
            }
        }
    }
}

extension PurchaseSegments {
    /// Reads customers and times block by block.
    /// - Returns: the kind of the ids (nil for no rows), the first and the last time.
    /// - Throws: `corrupt` where rows are not in the order of (customer, time).
    static func verifyOrder(
        _ reader: SegmentReader
    ) throws(StoreError) -> (holdsTexts: Bool?, firstTime: Int64?, lastTime: Int64?) {
        guard let customers = reader.columnIndex(named: "customer"),
            let times = reader.columnIndex(named: "time")
        else { throw .missingPart(path: reader.path, part: "column customer or time") }
        var previous: (id: EntityID, time: Int64)?
        var bounds: (first: Int64, last: Int64)?
        var isText: Bool?
        for block in 0..<reader.blockCount {
            let ids: IDColumn
            switch try reader.block(block, column: customers).data {
            case .int64(let values): ids = .integers(values)
            case .text(let values): ids = .texts(values)
            default:
                throw .missingPart(
                    path: reader.path, part: "column customer of integers or texts")
            }
            guard case .int64(let seconds) = try reader.block(block, column: times).data else {
                throw .missingPart(path: reader.path, part: "column time of integers")
            }
            if case .texts = ids { isText = true } else { isText = false }
            for row in 0..<ids.count {
                let isSame = row > 0 && !ids.precedes(row - 1, row) && !ids.precedes(row, row - 1)
                // An id is made a value where the block begins or another customer does.
                let id = isSame ? previous?.id ?? ids[row] : ids[row]
                if let previous,
                    previous.id > id || previous.id == id && previous.time > seconds[row]
                {
                    throw .corrupt(
                        path: reader.path, byteOffset: 0,
                        reason: "row \(reader.rows(ofBlock: block).lowerBound + row) is not in "
                            + "the order of customer and time")
                }
                previous = (id, seconds[row])
                bounds = (
                    min(bounds?.first ?? seconds[row], seconds[row]),
                    max(bounds?.last ?? seconds[row], seconds[row])
                )
            }
        }
        return (isText, bounds?.first, bounds?.last)
    }
}
