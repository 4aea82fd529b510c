import Logging
import NIOCore

/// Everything of a configuration that can be wrong before anything is opened.
package struct Preparation: Sendable {
    let address: SocketAddress
    let adminAddress: SocketAddress?
    let tls: ServedCertificates.Loaded?
    let tlsWatch: FileWatch
    let tokens: TokenTable?
    let tokensWatch: FileWatch
    let now: Int
    private let sendsTokensInPlain: Bool

    /// - Throws: `bindFailed`, `insecureBind`, `tls`, `tokens` or `unreadable`.
    package init(_ configuration: ServerConfiguration) throws(ServerError) {
        now = configuration.now()
        // Before the files are read: what is written in between is then seen as a change.
        tlsWatch = FileWatch(configuration.tls?.paths ?? [])
        tokensWatch = FileWatch(configuration.tokensPath.map { [$0] } ?? [])
        tls = try configuration.tls.map { files throws(ServerError) in
            try ServedCertificates.Loaded(files)
        }
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
        if let tls, let warning = CertificateWatcher.warning(tls.validUntil, now: now) {
            warnings.append(warning)
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
