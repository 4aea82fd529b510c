import ColumnStore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

func exponential(_ x: Double) -> Double { exp(x) }
func naturalLog(_ x: Double) -> Double { log(x) }

/// Makes a folder and those above it that are missing.
func makeFolder(_ path: String) throws(SyntheticError) {
    var status = stat()
    if stat(path, &status) == 0 {
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw .folder(SystemError(code: ENOTDIR, operation: "mkdir", path: path))
        }
        return
    }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
        try makeFolder(String(path[..<slash]))
    }
    if mkdir(path, 0o755) != 0, errno != EEXIST {
        throw .folder(SystemError(code: errno, operation: "mkdir", path: path))
    }
}
