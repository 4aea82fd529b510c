package import ByteCoding
package import ColumnStore
import Foundation
package import Models
package import Units

/// One generation, opened for serving: immutable, memory-mapped, every checksum verified.
///
/// A row is a customer's place in the snapshot; `IDIndex.absent` stands for an unknown one.
package final class ServingSnapshot: Sendable {
    package let descriptor: SnapshotDescriptor
    /// Customer ids and their rows.
    package let customers: IDIndex
    /// Status and score columns of every row.
    package let strip: RowStrip
    /// Nil where no affinity model is served.
    package let affinity: AffinityFile?
    package let segments: [SegmentTable]
    /// What segments are like.
    private let profiles: SegmentProfileFile?
    /// Column id → position among the strip's fields.
    private let fieldIndices: [UInt16: Int]

    package var generation: Int { descriptor.generation }
    package var asOf: CalendarDay { descriptor.asOfDay }
    package var currency: String { descriptor.currency }
    package var models: [ModelReference] { descriptor.models }
    package var customerCount: Int { strip.rowCount }
    package var productCount: Int { affinity?.productCount ?? 0 }
    package var columns: [RowStripSchema.Field] { strip.schema.fields }

    /// Opens and verifies all files of a generation; reads each of them once, at about the speed
    /// of memory or of the disk.
    /// - Throws: `damagedSnapshot` or `store`, with the file's name and the byte offset.
    package convenience init(_ location: SnapshotLocation) throws(EngineError) {
        try self.init(folder: location.folder)
        guard generation == location.generation else {
            throw .damagedSnapshot(
                path: location.folder + "/" + SnapshotDescriptor.fileName, byteOffset: 0,
                reason: "generation \(generation), the manifest says \(location.generation)")
        }
    }

    package init(folder: String) throws(EngineError) {
        descriptor = try SnapshotDescriptor(folder: folder)
        let descriptor = descriptor
        for file in descriptor.files { try Self.verifySize(file, folder) }
        let lookupPath = folder + "/" + SnapshotWriter.lookupName
        do throws(StoreError) {
            let file = try ArrayFile(path: lookupPath)
            guard file.kind == SnapshotWriter.lookupKind else {
                throw .notAStoreFile(path: lookupPath, expected: "a snapshot's look-up file")
            }
            strip = try RowStrip(reading: file)
            customers = try IDIndex(reading: file)
            guard strip.rowCount == descriptor.customerCount,
                customers.count == strip.rowCount,
                descriptor.columnDescriptions.count == strip.schema.fields.count
            else {
                throw .corrupt(
                    path: lookupPath, byteOffset: 0, reason: "records, ids or columns do not match")
            }
        } catch {
            throw .store(error)
        }
        fieldIndices = Dictionary(
            uniqueKeysWithValues: strip.schema.fields.enumerated().map { ($1.id, $0) })
        let names = Set(descriptor.files.map(\.name))
        affinity =
            names.contains(AffinityFile.name)
            ? try AffinityFile(
                folder: folder, hasChanged: names.contains(AffinityFile.changedName),
                hasOffers: names.contains(OfferFile.name),
                customerCount: descriptor.customerCount, productCount: descriptor.productCount)
            : nil
        segments = try Self.readSegments(folder)
        profiles =
            names.contains(SnapshotWriter.profilesName)
            ? try SegmentProfileFile(path: "\(folder)/\(SnapshotWriter.profilesName)") : nil
        // Last, because it cannot tell where in the file the damage is; it finds a sound file of
        // another generation.
        for file in descriptor.files { try Self.verifyChecksum(file, folder) }
    }

    /// What the segments of a segmentation are like; nil where the generation does not say.
    package func profile(of segmentation: String) throws(EngineError) -> SegmentProfile? {
        try profiles?.profile(of: segmentation)
    }

    /// The position of a column among `columns`; nil where the snapshot has none of this id.
    package func columnIndex(id: UInt16) -> Int? { fieldIndices[id] }

    /// The row of a customer; nil for an unknown one.
    package func row(of customer: EntityID) -> Int? { customers.find(customer) }

    /// Products with the highest scores for a customer.
    /// - Parameter excludesPurchased: leaves out what the customer has bought already.
    package func topProducts(
        customer: EntityID, count: Int, excludesPurchased: Bool
    ) -> TopProducts {
        guard let row = row(of: customer) else { return TopProducts(status: .unknownCustomer) }
        guard let affinity else { return TopProducts(status: .modelNotFitted) }
        guard affinity.hasFactors(customer: row) else {
            return TopProducts(status: .tooLittleHistory)
        }
        let entries = affinity.topProducts(
            customer: row, count: count, excludesPurchased: excludesPurchased)
        return TopProducts(status: .ok, products: entries)
    }

    /// Customers with the highest scores for a product; nil where it is unknown or no affinity
    /// model is served.
    /// - Parameter excludesPurchasers: leaves out those who have bought it already.
    package func topCustomers(
        product: EntityID, count: Int, excludesPurchasers: Bool
    ) -> [TopEntry]? {
        guard let affinity, let row = affinity.productRow(product) else { return nil }
        return affinity.topCustomers(
            product: row, count: count, excludesPurchasers: excludesPurchasers)
    }
}

/// A row of products or customers and its score.
package typealias TopEntry = TopN.Entry

/// The answer to "which products for this customer".
package struct TopProducts: Sendable, Equatable {
    package var status: ScoreStatus
    /// Rows of products, best first; empty where the status is not ok.
    package var products: [TopEntry]

    package init(status: ScoreStatus, products: [TopEntry] = []) {
        self.status = status
        self.products = products
    }
}

extension ServingSnapshot {
    private static func map(_ path: String) throws(EngineError) -> MappedFile {
        do throws(StoreError) { return try MappedFile(path: path) } catch { throw .store(error) }
    }

    private static func verifySize(
        _ file: SnapshotDescriptor.File, _ folder: String
    ) throws(EngineError) {
        let path = folder + "/" + file.name
        let byteCount = try map(path).byteCount
        guard byteCount == file.byteCount else {
            throw .damagedSnapshot(
                path: path, byteOffset: min(byteCount, file.byteCount),
                reason: "\(byteCount) bytes, \(file.byteCount) were written")
        }
    }

    private static func verifyChecksum(
        _ file: SnapshotDescriptor.File, _ folder: String
    ) throws(EngineError) {
        let path = folder + "/" + file.name
        let checksum: UInt32
        if [
            SnapshotWriter.lookupName, AffinityFile.name, AffinityFile.changedName, OfferFile.name,
        ].contains(file.name) {
            // Its arrays have been verified.
            checksum = try mapErrors(EngineError.store) { () throws(StoreError) in
                try ArrayFile(path: path, verifiesArrays: false).checksum
            }
        } else {
            checksum = try map(path).withBytes { CRC32C.checksum($0) }
        }
        guard checksum == file.checksum else {
            throw .damagedSnapshot(
                path: path, byteOffset: 0, reason: "the file's checksum is not the stored one")
        }
    }

    static func readSegments(_ folder: String) throws(EngineError) -> [SegmentTable] {
        let path = folder + "/" + SnapshotWriter.segmentsName
        let bytes = try SnapshotDescriptor.bytes(of: path)
        do {
            return try JSONDecoder().decode([SegmentTable].self, from: Data(bytes))
        } catch {
            throw .damagedSnapshot(path: path, byteOffset: 0, reason: "unreadable: \(error)")
        }
    }
}
