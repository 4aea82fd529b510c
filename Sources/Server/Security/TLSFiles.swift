import Foundation
import NIOSSL

/// The files that TLS is served with, all PEM.
package struct TLSFiles: Sendable, Equatable {
    /// The server's certificate, then those that lead to its authority.
    package var certificatePath: String
    package var keyPath: String
    /// Authorities of the clients' certificates; nil asks for none.
    package var clientCAPath: String?

    package init(certificatePath: String, keyPath: String, clientCAPath: String? = nil) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        self.clientCAPath = clientCAPath
    }

    /// All of them.
    var paths: [String] { [certificatePath, keyPath] + (clientCAPath.map { [$0] } ?? []) }

    /// Tells whether their bytes are those of another time; of one that cannot be read, none count.
    var digest: [UInt8] {
        SHA256.hash(
            paths.flatMap { path in
                SHA256.hash(FileManager.default.contents(atPath: path) ?? Data())
            })
    }

    /// TLS 1.2 or later.
    /// - Throws: `tls` where a file cannot be used, or the key is not that of the certificate.
    func context() throws(ServerError) -> NIOSSLContext {
        let chain = try Self.certificates(certificatePath)
        let key: NIOSSLPrivateKey
        do {
            try Self.requireReadable(keyPath)
            key = try NIOSSLPrivateKey(file: keyPath, format: .pem)
        } catch let error as ServerError {
            throw error
        } catch {
            throw .tls(path: keyPath, reason: "this is no private key in PEM, or it has a password")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        if let clientCAPath {
            configuration.trustRoots = .certificates(try Self.certificates(clientCAPath))
            // Clients have no host names.
            configuration.certificateVerification = .noHostnameVerification
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .tls(path: keyPath, reason: "the key does not belong to \(certificatePath)")
        }
    }

    /// When the first of the certificates ends to be valid, in seconds since 1970-01-01 UTC.
    func validUntil() throws(ServerError) -> Int {
        try Self.certificates(certificatePath).map { Int($0.notValidAfter) }.min() ?? 0
    }

    private static func certificates(_ path: String) throws(ServerError) -> [NIOSSLCertificate] {
        try requireReadable(path)
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(path), !certificates.isEmpty
        else { throw .tls(path: path, reason: "there is no certificate in PEM") }
        return certificates
    }

    private static func requireReadable(_ path: String) throws(ServerError) {
        guard FileManager.default.isReadableFile(atPath: path) else {
            throw .unreadable(path: path)
        }
    }
}

/// Why TLS failed, in words.
struct TLSFailure {
    let reason: String
    /// Whether the client only went away.
    let isDeparture: Bool

    /// Nil for errors of another kind.
    init?(_ error: any Error) {
        guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError else {
            return nil
        }
        let text = "\(error)"
        isDeparture = ["uncleanShutdown", "EOF"].contains { text.contains($0) }
        if isDeparture {
            reason = "the client went away without ending TLS"
        } else {
            reason = Self.reasons.first { text.contains($0.0) }?.1 ?? text
        }
    }

    private static let reasons = [
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the client has no certificate"),
        ("CERTIFICATE_VERIFY_FAILED", "the client's certificate is of no authority known here"),
        ("UNKNOWN_CA", "the client does not know the authority of the server's certificate"),
        ("BAD_CERTIFICATE", "the client refused the server's certificate"),
        ("CERTIFICATE_UNKNOWN", "the client refused the server's certificate"),
        ("CERTIFICATE_EXPIRED", "the client says the server's certificate has expired"),
        ("UNSUPPORTED_PROTOCOL", "the client speaks no TLS from version 1.2 on"),
        ("NO_SHARED_CIPHER", "client and server have no cipher in common"),
    ]
}
