import Logging
import NIOCore
import NIOSSL

/// Everything of a configuration that can be wrong before anything is opened.
package struct Preparation: Sendable {
    let address: SocketAddress
    let adminAddress: SocketAddress?
    let tls: NIOSSLContext?
    let tokens: TokenTable?
    let tokensStamp: FileStamp?
    /// When the certificate ends to be valid, in seconds since 1970-01-01 UTC; nil without TLS.
    let certificateEnd: Int?
    private let sendsTokensInPlain: Bool

    /// - Throws: `bindFailed`, `insecureBind`, `tls`, `tokens` or `unreadable`.
    package init(_ configuration: ServerConfiguration) throws(ServerError) {
        tls = try configuration.tls?.context()
        certificateEnd = try configuration.tls?.validUntil()
        // Before the file is read: what is written in between is then seen as a change.
        tokensStamp = configuration.tokensPath.flatMap { FileStamp(path: $0) }
        tokens = try configuration.tokensPath.map { path throws(ServerError) in
            try TokenTable(path: path)
        }
        let isGuarded = tokens != nil || configuration.tls?.clientCAPath != nil
        address = try PatronServer.resolve(
            host: configuration.host, port: configuration.port,
            isGuarded: configuration.allowInsecure || isGuarded)
        adminAddress = try configuration.admin.map { admin throws(ServerError) in
            do throws(ServerError) {
                return try PatronServer.resolve(
                    host: admin.host, port: admin.port, isGuarded: configuration.allowInsecure)
            } catch .insecureBind(let address) {
                throw .insecureAdminBind(address: address)
            }
        }
        sendsTokensInPlain = tokens != nil && tls == nil && !address.isLoopback
    }

    /// What is allowed and probably not meant.
    package var warnings: [String] {
        var warnings: [String] = []
        if let certificateEnd {
            let left = certificateEnd - LogTime.now.milliseconds / 1_000
            if left <= 0 {
                warnings.append("the certificate has expired: clients will not accept it")
            } else if left < 14 * 86_400 {
                warnings.append("the certificate expires in \(left / 86_400) days")
            }
        }
        if sendsTokensInPlain {
            warnings.append("tokens cross the network in plain: give --tls-cert and --tls-key")
        }
        if let tokens, tokens.entries.isEmpty {
            warnings.append("the file of tokens has none: nobody is let in")
        }
        return warnings
    }

    func warn(_ logger: Logger) {
        for warning in warnings { logger.warning("\(warning)") }
    }
}
