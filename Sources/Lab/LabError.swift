package import ColumnStore
import Foundation
package import Models

/// Why an operation on arrays or a measurement cannot be done. Cases about a file name it; those
/// about bytes name the offset too.
package enum LabError: Error, Sendable, Equatable {
    /// An array file that cannot be used as it is.
    case badArray(path: String, byteOffset: Int, found: String, expected: String, advice: String)
    /// One value of an array that cannot be used.
    case badValue(path: String, byteOffset: Int, place: String, found: String, expected: String)
    /// Two arrays that belong together do not fit.
    case mismatch(path: String, found: String, expected: String, other: String)
    /// The model refuses the data.
    case model(path: String, ModelError)
    /// The connection of this machine to itself failed.
    case network(operation: String, code: Int32)
    /// More memory than the machine has.
    case memory(path: String, what: String, neededBytes: Double)
    /// An option of the command line that cannot be followed.
    case option(name: String, reason: String)
    /// A file of measured limits that cannot be used.
    case roofline(path: String, reason: String)
    case store(StoreError)
}

extension LabError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badArray(let path, let byteOffset, let found, let expected, let advice):
            "\(path): byte \(byteOffset): found \(found), expected \(expected); \(advice)"
        case .badValue(let path, let byteOffset, let place, let found, let expected):
            """
            \(path): \(place) (byte \(byteOffset)) is \(found), expected \(expected); correct or \
            remove it and write the array again
            """
        case .mismatch(let path, let found, let expected, let other):
            """
            \(path): has \(found), but \(expected) \(other); give arrays that were written together
            """
        case .model(let path, let error):
            "\(path): \(error)"
        case .network(let operation, let code):
            """
            loopback: \(operation): \(SystemError.text(code)); check that 127.0.0.1 is up and that \
            sockets are allowed here
            """
        case .memory(let path, let what, let neededBytes):
            """
            \(path): \(what) would need \(Self.gigabytes(neededBytes)), this machine has \
            \(Self.gigabytes(Self.machineBytes)); check the sizes, or use a machine with more memory
            """
        case .option(let name, let reason):
            "\(name): \(reason)"
        case .roofline(let path, let reason):
            "\(path): \(reason); write one with: patron roofline --json > roofline.json"
        case .store(let error):
            error.description
        }
    }
}

extension LabError {
    /// Memory of the machine.
    static var machineBytes: Double { Double(ProcessInfo.processInfo.physicalMemory) }

    private static func gigabytes(_ bytes: Double) -> String {
        String(format: "%.1f GB", bytes / 1e9)
    }

    /// Refuses what cannot fit, before it is allocated; what fits may still find memory in use.
    static func requireMemory(
        _ neededBytes: Double, for what: String, path: String
    ) throws(LabError) {
        guard neededBytes <= machineBytes else {
            throw .memory(path: path, what: what, neededBytes: neededBytes)
        }
    }
}

extension SystemError {
    /// What the operating system calls an error number.
    fileprivate static func text(_ code: Int32) -> String {
        // The description of a system error is "path: operation: text".
        SystemError(code: code, operation: "", path: "").description
            .split(separator: ":").last.map { $0.trimmingPrefix(" ") }.map(String.init) ?? ""
    }
}
