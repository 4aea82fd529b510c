import Foundation

/// Memory of this process that is in the machine's, in bytes; nil where the system has no /proc.
func residentMemoryBytes() -> Int? {
    // size, resident, shared …, in pages.
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
        return nil
    }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
    return pages * sysconf(Int32(_SC_PAGESIZE))
}
