package import Engine

/// Why a server does not start.
package enum ServerError: Error, Sendable, Equatable, CustomStringConvertible {
    case addressInUse(address: String)
    case bindFailed(address: String, reason: String)
    /// The address can be reached from other machines and nothing guards it.
    case insecureBind(address: String)
    case insecureAdminBind(address: String)
    /// The log of live purchases, or what scores their customers.
    case live(EngineError)
    case nothingPublished
    /// A file of settings.
    case settings(PlanError)
    case snapshot(EngineError)
    /// A file that TLS needs.
    case tls(path: String, reason: String)
    /// A file of tokens; the line counts from 1.
    case tokens(path: String, line: Int, reason: String)
    case unreadable(path: String)

    package var description: String {
        switch self {
        case .addressInUse(let address):
            "\(address) is in use by another process; stop it or choose another port (0: any)"
        case .bindFailed(let address, let reason):
            "cannot listen on \(address): \(reason)"
        case .insecureBind(let address):
            """
            \(address) can be reached from other machines and nothing guards it: give --tokens or \
            --client-ca, listen on 127.0.0.1, or give --insecure if the network is trusted
            """
        case .insecureAdminBind(let address):
            """
            the admin port \(address) can be reached from other machines and asks for no credential; \
            listen on 127.0.0.1, or give --insecure if the network is trusted
            """
        case .live(let error):
            "purchases cannot be taken: \(error)"
        case .nothingPublished:
            "nothing is published yet; run score and publish first"
        case .settings(let error):
            error.description
        case .snapshot(let error):
            error.description
        case .tls(let path, let reason):
            "\(path): \(reason)"
        case .tokens(let path, let line, let reason):
            "\(path):\(line): \(reason)"
        case .unreadable(let path):
            "\(path) cannot be read: is it there, and may this user read it?"
        }
    }
}
