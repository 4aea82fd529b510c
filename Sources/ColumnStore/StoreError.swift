/// What can go wrong with the files of a workspace. Every case names the file; those about bytes
/// name the offset too.
package enum StoreError: Error, Sendable, Equatable {
    /// Bytes changed after they were written.
    case checksumMismatch(
        path: String, byteOffset: Int, part: String, actual: UInt32, expected: UInt32)
    /// Bytes that no writer of this format produces.
    case corrupt(path: String, byteOffset: Int, reason: String)
    /// A caller handed in columns, ids or arrays that do not fit together or the schema.
    case invalidInput(path: String, reason: String)
    /// A number beyond a bound of `Limits`.
    case limitExceeded(path: String, byteOffset: Int, what: String, actual: Int, limit: Int)
    /// Another process has the workspace; its id where it could be read.
    case locked(path: String, processID: Int32?)
    /// The file does not hold a column, array or field of this name (and type).
    case missingPart(path: String, part: String)
    /// The file starts with other bytes than the expected format.
    case notAStoreFile(path: String, expected: String)
    /// What has the name of a file to be written cannot be replaced by one; what it is.
    case notReplaceable(path: String, kind: String)
    case system(SystemError)
    /// The file ends too early.
    case truncated(path: String, byteOffset: Int, actual: Int, expected: Int)
    /// A newer release wrote something that this one does not know.
    case unknownField(path: String, field: String)
    case unsupportedVersion(path: String, actual: Int, expected: Int)
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .checksumMismatch(let path, let offset, let part, let actual, let expected):
            """
            \(path): byte \(offset): the checksum of \(part) is \(hex(actual)), expected \
            \(hex(expected)); the file is damaged: restore it or build it again
            """
        case .corrupt(let path, let offset, let reason):
            "\(path): byte \(offset): \(reason); the file is damaged: restore it or build it again"
        case .invalidInput(let path, let reason):
            "\(path): not written: \(reason)"
        case .limitExceeded(let path, let offset, let what, let actual, let limit):
            "\(path): byte \(offset): \(what) is \(actual), the limit is \(limit)"
        case .locked(let path, let processID):
            """
            \(path): in use by \(processID.map { "process \($0)" } ?? "another process"); wait \
            until it ends, then try again
            """
        case .missingPart(let path, let part):
            "\(path): has no \(part); it was written by another command or release"
        case .notAStoreFile(let path, let expected):
            "\(path): is not \(expected); check the name"
        case .notReplaceable(let path, let kind):
            "\(path.isEmpty ? "''" : path): is \(kind); name a new file, or an ordinary one to replace"
        case .system(let error):
            error.description
        case .truncated(let path, let offset, let actual, let expected):
            """
            \(path): ends after \(actual) bytes, byte \(offset) needs \(expected); the file is \
            truncated: restore it or build it again
            """
        case .unknownField(let path, let field):
            "\(path): has the unknown field \(field), written by a newer release; use that release"
        case .unsupportedVersion(let path, let actual, let expected):
            """
            \(path): has format version \(actual), this program reads version \(expected); use a \
            matching release or build the file again
            """
        }
    }

    private func hex(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}
