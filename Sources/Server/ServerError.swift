package import Engine

/// Why a server does not start.
package enum ServerError: Error, Sendable, Equatable, CustomStringConvertible {
    case addressInUse(address: String)
    case bindFailed(address: String, reason: String)
    /// The address can be reached from other machines and nothing guards it.
    case insecureBind(address: String)
    case nothingPublished
    case snapshot(EngineError)

    package var description: String {
        switch self {
        case .addressInUse(let address):
            "\(address) is in use by another process; stop it or choose another port (0: any)"
        case .bindFailed(let address, let reason):
            "cannot listen on \(address): \(reason)"
        case .insecureBind(let address):
            """
            \(address) can be reached from other machines and no tokens are set; listen on \
            127.0.0.1, or give --insecure if the network is trusted
            """
        case .nothingPublished:
            "nothing is published yet; run score and publish first"
        case .snapshot(let error):
            error.description
        }
    }
}
