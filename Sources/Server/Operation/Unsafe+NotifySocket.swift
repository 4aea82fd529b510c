#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Sends datagrams to a socket of the file system or of Linux's abstract names.
struct NotifySocket: Sendable {
    private let name: [UInt8]

    /// - Parameter name: a path, or `@` and an abstract name.
    /// - Returns: nil where it does not fit into an address.
    init?(name: String) {
        var bytes = Array(name.utf8)
        guard bytes.count > 1, bytes.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path),
            name.hasPrefix("/") || name.hasPrefix("@")
        else { return nil }
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        self.name = bytes
    }

    /// - Returns: whether the kernel took it.
    func send(_ text: String) -> Bool {
        #if canImport(Glibc)
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        #else
        let descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
        #endif
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // The initializer made sure that the name fits.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        // An abstract name ends where the address ends, a path with a zero, which stands there.
        let byteCount = socklen_t(offset + name.count + (name[0] == 0 ? 0 : 1))
        let bytes = Array(text.utf8)
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        // The address lives for the call, and a sockaddr_un is a sockaddr of that many bytes.
        let count = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, flags, $0, byteCount)
            }
        }
        return count == bytes.count
    }
}
