#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A call of the operating system that failed.
package struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The error number, as in errno(3).
    package let code: Int32
    /// The call, such as `open` or `fsync`.
    package let operation: String
    package let path: String

    package init(code: Int32, operation: String, path: String) {
        self.code = code
        self.operation = operation
        self.path = path
    }

    package var isMissingFile: Bool { code == ENOENT }

    package var description: String {
        let advice =
            switch code {
            case ENOSPC, EDQUOT: "; free some space and run the command again"
            case EFBIG: "; raise the file-size limit and run the command again"
            case EACCES, EPERM, EROFS: "; check the permissions"
            case ENOENT: "; check the name"
            default: ""
            }
        return
            "\(path.isEmpty ? "''" : path): \(operation): \(String(cString: strerror(code)))\(advice)"
    }
}

/// Repeats `call` while a signal interrupts it; the one place that does so.
/// - Returns: the call's non-negative result.
/// - Throws: `StoreError.system` where the call returns a negative number for another reason.
@discardableResult
func retryingInterrupts<Result: SignedInteger>(
    _ operation: String, _ path: String, _ call: () -> Result
) throws(StoreError) -> Result {
    while true {
        let result = call()
        if result >= 0 { return result }
        let code = errno
        if code != EINTR {
            throw .system(SystemError(code: code, operation: operation, path: path))
        }
    }
}
