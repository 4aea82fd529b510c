/// The part of a message that an error is about, by the name that protocol/WIRE.md gives it.
package enum WireField: String, Sendable, CaseIterable {
    case action, attributes, body, boughtSince, categories, clientName, columnCount
    case columnDescriptor, columnID, columnIDs, count, credential, credit, currency
    case customerCount, customerIDKind, decimals, distance, erasedAt, segment
    case descriptorBytes, errorField, errorHint, errorText, highestPrice, id, idCount, idKind
    case ids, isRepeat, largestRatio, lowestPrice, maximumFrameBytes, meta, metaBytes, metaItem
    case modelCount, modelName, offer, options, productCount, productIDKind, rank, reserved
    case resumeToken, rowCount, rule, segmentation, sequence, serverName, stampBytes, subject,
        textBuffer
    case textOffsets, token, validity, values, versionRange
    case byteCount, generation, graceMilliseconds, label, partsPerMillion, progress, shadowFacts
}

/// What is wrong with received bytes. Byte offsets count from the first byte of the frame for
/// faults of the header, and from the first byte of the body for all others.
package enum WireError: Error, Sendable, Equatable {
    case badHeaderSize(words: Int, frameBytes: Int)
    case badMagic(actual: UInt16)
    case bodyChecksumMismatch(actual: UInt32, expected: UInt32)
    case bufferOutsideBody(field: WireField, end: Int, bodyBytes: Int, byteOffset: Int)
    case compressionNotNegotiated
    case duplicateColumn(id: UInt16, byteOffset: Int)
    case frameTooLarge(actual: Int, limit: Int)
    case frameTooSmall(actual: Int, minimum: Int)
    case headerChecksumMismatch(actual: UInt32, expected: UInt32)
    case invalidBlock(rawLength: Int, blockBytes: Int)
    case invalidMeta(field: WireField, actual: Int, limit: Int, byteOffset: Int)
    case invalidOffsets(field: WireField, byteOffset: Int)
    case invalidText(field: WireField, byteOffset: Int)
    case misalignedBuffer(field: WireField, actual: Int, byteOffset: Int)
    case nonzeroReserved(field: WireField, byteOffset: Int)
    case notFinite(columnID: UInt16, row: Int, byteOffset: Int)
    case overBudget(field: WireField, actual: Int, limit: Int, byteOffset: Int)
    case rawLengthMismatch(actual: Int, expected: Int)
    case tooManyItems(field: WireField, actual: Int, limit: Int, byteOffset: Int)
    case trailingBytes(actual: Int, expected: Int)
    case truncatedBody(field: WireField, end: Int, bodyBytes: Int)
    case unexpectedEnd(actual: Int, expected: Int)
    case unfitColumn(id: UInt16, byteOffset: Int)
    case unknownColumn(id: UInt16, byteOffset: Int)
    case unsupportedEncoding(actual: UInt8, byteOffset: Int)
    case unsupportedFeature(actual: UInt64)
    case unsupportedFlag(actual: UInt16)
    case unsupportedOperation(opcode: UInt16)
    case unsupportedTag(actual: UInt16, byteOffset: Int)
    case unsupportedType(actual: UInt8, byteOffset: Int)
    case unsupportedVersion(actual: Int, supported: Int)
    case valueOutOfRange(
        field: WireField, actual: Int64, range: ClosedRange<Int64>, byteOffset: Int)
    case wrongDirection(opcode: UInt16)
}

extension WireError {
    /// The status that the peer is told.
    package var status: Status {
        switch self {
        case .badHeaderSize: .badHeaderSize
        case .badMagic: .badMagic
        case .bodyChecksumMismatch: .bodyChecksumMismatch
        case .bufferOutsideBody: .bufferOutsideBody
        case .compressionNotNegotiated: .compressionNotNegotiated
        case .duplicateColumn: .duplicateColumn
        case .frameTooLarge: .frameTooLarge
        case .frameTooSmall: .frameTooSmall
        case .headerChecksumMismatch: .headerChecksumMismatch
        case .invalidBlock: .invalidBlock
        case .invalidMeta: .invalidMeta
        case .invalidOffsets: .invalidOffsets
        case .invalidText: .invalidText
        case .misalignedBuffer: .misalignedBuffer
        case .nonzeroReserved: .nonzeroReserved
        case .notFinite: .notFinite
        case .overBudget: .overBudget
        case .rawLengthMismatch: .rawLengthMismatch
        case .tooManyItems: .tooManyItems
        case .trailingBytes: .trailingBytes
        case .truncatedBody: .truncatedBody
        case .unexpectedEnd: .unexpectedEnd
        case .unfitColumn: .unknownColumn
        case .unknownColumn: .unknownColumn
        case .unsupportedEncoding: .unsupportedEncoding
        case .unsupportedFeature: .unsupportedFeature
        case .unsupportedFlag: .unsupportedFlag
        case .unsupportedOperation: .unsupportedOperation
        case .unsupportedTag: .unsupportedTag
        case .unsupportedType: .unsupportedType
        case .unsupportedVersion: .unsupportedVersion
        case .valueOutOfRange: .valueOutOfRange
        case .wrongDirection: .wrongDirection
        }
    }

    /// Whether the connection cannot go on; otherwise only the request fails.
    package var closesConnection: Bool { status.closesConnection }

    /// The field at fault, or nil where the frame as a whole is.
    package var field: WireField? {
        switch self {
        case .bufferOutsideBody(let field, _, _, _), .invalidMeta(let field, _, _, _),
            .invalidOffsets(let field, _), .invalidText(let field, _),
            .misalignedBuffer(let field, _, _), .nonzeroReserved(let field, _),
            .overBudget(let field, _, _, _), .tooManyItems(let field, _, _, _),
            .truncatedBody(let field, _, _), .valueOutOfRange(let field, _, _, _):
            field
        case .duplicateColumn, .unfitColumn, .unknownColumn: .columnID
        case .notFinite: .values
        case .unsupportedTag: .metaItem
        case .unsupportedEncoding, .unsupportedType: .columnDescriptor
        default: nil
        }
    }

    /// Where the fault lies, or nil where it has no place.
    package var byteOffset: Int? {
        switch self {
        case .badHeaderSize: 7
        case .badMagic: 4
        case .bodyChecksumMismatch: 24
        case .frameTooLarge, .frameTooSmall: 0
        case .headerChecksumMismatch: 28
        case .bufferOutsideBody(_, _, _, let offset), .invalidMeta(_, _, _, let offset),
            .invalidOffsets(_, let offset), .invalidText(_, let offset),
            .misalignedBuffer(_, _, let offset), .nonzeroReserved(_, let offset),
            .notFinite(_, _, let offset), .overBudget(_, _, _, let offset),
            .tooManyItems(_, _, _, let offset), .duplicateColumn(_, let offset),
            .unfitColumn(_, let offset), .unknownColumn(_, let offset),
            .unsupportedEncoding(_, let offset),
            .unsupportedTag(_, let offset), .unsupportedType(_, let offset),
            .valueOutOfRange(_, _, _, let offset):
            offset
        case .trailingBytes(_, let expected): expected
        case .truncatedBody(_, _, let bodyBytes): bodyBytes
        case .unexpectedEnd(let actual, _): actual
        case .compressionNotNegotiated, .invalidBlock, .rawLengthMismatch, .unsupportedFeature,
            .unsupportedFlag,
            .unsupportedOperation, .unsupportedVersion, .wrongDirection:
            nil
        }
    }
}

extension WireError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badHeaderSize(let words, let frameBytes):
            "header of \(words) words in a frame of \(frameBytes) bytes"
        case .badMagic(let actual):
            "magic \(hex(actual)) instead of \(hex(FrameHeader.magic)): not this protocol"
        case .bodyChecksumMismatch(let actual, let expected):
            "body checksum \(hex(actual)) instead of \(hex(expected))"
        case .bufferOutsideBody(let field, let end, let bodyBytes, _):
            "\(field.rawValue) ends at byte \(end) of a body of \(bodyBytes)"
        case .compressionNotNegotiated: "compressed body without LZ4 in the active features"
        case .duplicateColumn(let id, _): "column \(id) twice"
        case .frameTooLarge(let actual, let limit): "length \(actual) above the limit \(limit)"
        case .frameTooSmall(let actual, let minimum): "length \(actual) below \(minimum)"
        case .headerChecksumMismatch(let actual, let expected):
            "header checksum \(hex(actual)) instead of \(hex(expected))"
        case .invalidBlock(let rawLength, let blockBytes):
            "the \(blockBytes) bytes of the body are not one LZ4 block of rawLength \(rawLength)"
        case .invalidMeta(let field, let actual, let limit, let offset):
            "\(field.rawValue) \(actual) at byte \(offset) of the meta block, bound \(limit)"
        case .invalidOffsets(let field, let offset):
            "\(field.rawValue) not from 0, decreasing or past the end, at byte \(offset)"
        case .invalidText(let field, let offset):
            "\(field.rawValue) at byte \(offset) is not UTF-8"
        case .misalignedBuffer(let field, let actual, _):
            "\(field.rawValue) at byte \(actual), not a multiple of 64"
        case .nonzeroReserved(let field, let offset):
            "\(field.rawValue) at byte \(offset) is not zero"
        case .notFinite(let columnID, let row, _):
            "column \(columnID), row \(row) is valid but not finite"
        case .overBudget(let field, let actual, let limit, _):
            "\(field.rawValue) would take \(actual) bytes, \(limit) remain"
        case .rawLengthMismatch(let actual, let expected):
            "rawLength \(actual) of a plain body of \(expected) bytes"
        case .tooManyItems(let field, let actual, let limit, _):
            "\(field.rawValue) \(actual) above the limit \(limit)"
        case .trailingBytes(let actual, let expected):
            "body of \(actual) bytes should end at \(expected)"
        case .truncatedBody(let field, let end, let bodyBytes):
            "\(field.rawValue) needs \(end) bytes, the body has \(bodyBytes)"
        case .unexpectedEnd(let actual, let expected):
            "connection ended at byte \(actual) of a frame of \(expected)"
        case .unfitColumn(let id, _):
            "column \(id) of the lines is missing, of another type or unknown"
        case .unknownColumn(let id, _): "no column \(id) in this snapshot"
        case .unsupportedEncoding(let actual, _): "unknown encoding \(actual)"
        case .unsupportedFeature(let actual): "required features \(hex(actual)) are not offered"
        case .unsupportedFlag(let actual): "unknown or unusable critical flags \(hex(actual))"
        case .unsupportedOperation(let opcode): "unknown opcode \(hex(opcode))"
        case .unsupportedTag(let actual, _): "unknown critical meta tag \(hex(actual))"
        case .unsupportedType(let actual, _): "unknown column type \(actual)"
        case .unsupportedVersion(let actual, let supported):
            "version \(actual), this side speaks \(supported)"
        case .valueOutOfRange(let field, let actual, let range, let offset):
            """
            \(field.rawValue) \(actual) at byte \(offset), \
            valid \(range.lowerBound) to \(range.upperBound)
            """
        case .wrongDirection(let opcode): "opcode \(hex(opcode)) from the wrong side"
        }
    }

    /// What the sender can do about it; empty where the text already says it.
    package var hint: String {
        switch self {
        case .badMagic: "connect with a Patron client; TLS and HTTP are not spoken on this port"
        case .compressionNotNegotiated: "send plain bodies"
        case .frameTooLarge: "ask for fewer ids or columns a request"
        case .tooManyItems: "split the request"
        case .unknownColumn: "DESCRIBE lists the columns"
        case .unsupportedOperation: "the server is older than the client; see DESCRIBE"
        default: ""
        }
    }
}

private func hex(_ value: some FixedWidthInteger & UnsignedInteger) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: value.bitWidth / 4 - digits.count) + digits
}
