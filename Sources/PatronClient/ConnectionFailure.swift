import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Why a connection cannot be made or has ended, in words.
func connectionFailure(_ error: any Error, host: String) -> String {
    switch error {
    case let error as IOError: text(ofErrorNumber: error.errnoCode)
    case ChannelError.connectTimeout(let time):
        "no answer within \(Double(time.nanoseconds / 1_000_000) / 1_000) s"
    case is ChannelError: "it is closed"
    case is SocketAddressError, is SocketAddressError.UnknownHost:
        "no address of the name \(host) is known"
    default: tlsFailure(error) ?? "\(error)"
    }
}

private func text(ofErrorNumber code: Int32) -> String {
    switch code {
    case EACCES, EPERM: "not permitted"
    case EADDRNOTAVAIL: "the address is of no machine here"
    case ECONNABORTED, ECONNRESET, EPIPE: "the other side closed it"
    case ECONNREFUSED: "nobody listens there"
    case EHOSTUNREACH, ENETUNREACH: "no way leads there"
    case EMFILE, ENFILE: "too many files are open"
    case ETIMEDOUT: "no answer"
    default: "system error \(code)"
    }
}
