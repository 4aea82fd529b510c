package import NIOSSL

/// How a connection is secured: TLS 1.2 or later, with the server's name or address verified against
/// its certificate.
public struct PatronTLS: Sendable, Equatable {
    /// PEM file of the authorities that may have signed the server's certificate; nil for those that
    /// the system trusts.
    public var authoritiesPath: String?
    /// PEM files of the client's certificate and of its key, for servers that want one.
    public var certificatePath: String?
    public var keyPath: String?

    public init(
        authoritiesPath: String? = nil, certificatePath: String? = nil, keyPath: String? = nil
    ) {
        self.authoritiesPath = authoritiesPath
        self.certificatePath = certificatePath
        self.keyPath = keyPath
    }

    /// Why TLS failed, in words; nil for errors of another kind.
    @Sendable package static func failure(_ error: any Error) -> String? { tlsFailure(error) }

    /// What connections share.
    /// - Throws: `invalidOption` where a file cannot be used.
    package func context() throws(PatronError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let authoritiesPath {
            configuration.trustRoots = .certificates(
                try Self.certificates(authoritiesPath, "the file of authorities"))
        }
        switch (certificatePath, keyPath) {
        case (nil, nil): break
        case (let certificatePath?, let keyPath?):
            let chain = try Self.certificates(certificatePath, "the client's certificate")
            configuration.certificateChain = chain.map { .certificate($0) }
            guard let key = try? NIOSSLPrivateKey(file: keyPath, format: .pem) else {
                throw .invalidOption(
                    name: "the client's key", reason: "\(keyPath) is no private key in PEM")
            }
            configuration.privateKey = .privateKey(key)
        default:
            throw .invalidOption(
                name: "the client's certificate", reason: "goes with its key: give both or neither")
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .invalidOption(
                name: "the client's key", reason: "does not belong to the certificate")
        }
    }

    private static func certificates(
        _ path: String, _ what: String
    ) throws(PatronError) -> [NIOSSLCertificate] {
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(path), !certificates.isEmpty
        else {
            throw .invalidOption(name: what, reason: "\(path) has no certificate in PEM")
        }
        return certificates
    }
}

/// Why TLS failed, in words; nil for errors of another kind.
func tlsFailure(_ error: any Error) -> String? {
    guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError else {
        return nil
    }
    let text = "\(error)"
    let reasons = [
        ("WRONG_VERSION_NUMBER", "the server does not speak TLS on this port: connect without it"),
        ("failedToValidateHostname", "the server's certificate is of another name or address"),
        (
            "CERTIFICATE_VERIFY_FAILED",
            "the server's certificate is of no authority that is trusted here, or has expired"
        ),
        ("CERTIFICATE_REQUIRED", "the server wants a certificate of the client"),
        ("UNKNOWN_CA", "the server does not know the authority of the client's certificate"),
        ("BAD_CERTIFICATE", "the server refused the client's certificate"),
        ("CERTIFICATE_UNKNOWN", "the server refused the client's certificate"),
        ("HANDSHAKE_FAILURE", "the server refused the handshake: it may want a certificate"),
        ("PROTOCOL_VERSION", "client and server have no version of TLS in common"),
        ("uncleanShutdown", "the server went away without ending TLS"),
    ]
    return reasons.first { text.contains($0.0) }?.1 ?? text
}
