/// What a client should do about an answer: the hundreds of its status.
package enum StatusClass: UInt32, Sendable, CaseIterable {
    case ok = 0
    case fixRequest = 1
    case notFound = 2
    case retryNow = 3
    case overloaded = 4
    case unavailable = 5
    case notAllowed = 6
    case protocolError = 7
    case deadlinePassed = 8
    case cancelled = 9
    case unsupported = 10
    case dataDamaged = 11
    case internalError = 12
}

/// The outcome of a request: class x 100 + code. Numbers are fixed in protocol/WIRE.md, "Status",
/// and never reused. A number of a newer peer keeps its value and is judged by its class.
package struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The class; `internalError` where the number is of no class that this release knows.
    package var statusClass: StatusClass { StatusClass(rawValue: rawValue / 100) ?? .internalError }

    package var isOK: Bool { rawValue == 0 }

    /// Whether the connection ends after this status.
    package var closesConnection: Bool { statusClass == .protocolError }

    /// The name in the specification, or the number where it has none here.
    package var description: String {
        Self.table.first { $0.status == self }?.name ?? "status \(rawValue)"
    }

    package static let ok = Status(rawValue: 0)

    package static let truncatedBody = Status(rawValue: 101)
    package static let trailingBytes = Status(rawValue: 102)
    package static let valueOutOfRange = Status(rawValue: 103)
    package static let tooManyItems = Status(rawValue: 104)
    package static let nonzeroReserved = Status(rawValue: 105)
    package static let misalignedBuffer = Status(rawValue: 106)
    package static let invalidText = Status(rawValue: 107)
    package static let invalidMeta = Status(rawValue: 108)
    package static let unknownColumn = Status(rawValue: 109)
    package static let duplicateColumn = Status(rawValue: 110)
    package static let wrongIDKind = Status(rawValue: 111)
    package static let overBudget = Status(rawValue: 112)
    package static let requestIDInUse = Status(rawValue: 113)
    package static let bufferOutsideBody = Status(rawValue: 114)
    package static let invalidOffsets = Status(rawValue: 115)
    package static let answerTooLarge = Status(rawValue: 116)
    package static let rawLengthMismatch = Status(rawValue: 117)
    package static let notFinite = Status(rawValue: 118)
    package static let invalidRule = Status(rawValue: 119)
    package static let invalidBlock = Status(rawValue: 120)
    package static let unusableLines = Status(rawValue: 130)
    package static let otherCurrency = Status(rawValue: 131)

    package static let unknownCustomer = Status(rawValue: 201)
    package static let unknownProduct = Status(rawValue: 202)
    package static let unknownSegmentation = Status(rawValue: 203)
    package static let unknownLabel = Status(rawValue: 204)
    package static let unknownGeneration = Status(rawValue: 205)

    package static let snapshotChanged = Status(rawValue: 301)

    package static let tooManyInFlight = Status(rawValue: 401)
    package static let tooManyConnections = Status(rawValue: 402)
    package static let outputFull = Status(rawValue: 403)
    package static let logBusy = Status(rawValue: 410)

    package static let loading = Status(rawValue: 501)
    package static let draining = Status(rawValue: 502)
    package static let notInSnapshot = Status(rawValue: 503)
    package static let workspaceLocked = Status(rawValue: 504)
    package static let notDurable = Status(rawValue: 510)

    package static let authenticationFailed = Status(rawValue: 601)
    package static let scopeMissing = Status(rawValue: 602)

    package static let badMagic = Status(rawValue: 701)
    package static let headerChecksumMismatch = Status(rawValue: 702)
    package static let unsupportedVersion = Status(rawValue: 703)
    package static let badHeaderSize = Status(rawValue: 704)
    package static let frameTooSmall = Status(rawValue: 705)
    package static let frameTooLarge = Status(rawValue: 706)
    package static let bodyChecksumMismatch = Status(rawValue: 707)
    package static let helloRequired = Status(rawValue: 708)
    package static let unexpectedHello = Status(rawValue: 709)
    package static let wrongDirection = Status(rawValue: 710)
    package static let handshakeTimeout = Status(rawValue: 711)
    package static let idleTimeout = Status(rawValue: 712)
    package static let peerTooSlow = Status(rawValue: 713)
    package static let unexpectedEnd = Status(rawValue: 714)

    package static let deadlinePassed = Status(rawValue: 801)

    package static let cancelled = Status(rawValue: 901)

    package static let unsupportedOperation = Status(rawValue: 1001)
    package static let unsupportedFlag = Status(rawValue: 1002)
    package static let compressionNotNegotiated = Status(rawValue: 1003)
    package static let unsupportedTag = Status(rawValue: 1004)
    package static let unsupportedEncoding = Status(rawValue: 1005)
    package static let unsupportedType = Status(rawValue: 1006)
    package static let unsupportedFeature = Status(rawValue: 1007)
    package static let readOnly = Status(rawValue: 1010)

    package static let snapshotDamaged = Status(rawValue: 1101)

    package static let internalError = Status(rawValue: 1201)
}
