/// Why no load could be made, or what came back instead of an answer.
package enum LoadError: Error, Sendable, Equatable {
    case cannotConnect(address: String, reason: String)
    /// A file of ids that cannot be used; `line` counts from 1, nil for the file as a whole.
    case idFile(path: String, line: Int?, reason: String)
    /// Bytes of an answer that break the protocol.
    case malformedAnswer(String)
    /// TLS could not be agreed on.
    case notSecured(address: String, reason: String)
    case noAnswer(address: String, expected: String, seconds: Int)
    /// A setting that cannot be.
    case option(String)
    /// The server answered the greeting with an error.
    case refused(address: String, reason: String)
    case system(operation: String, code: Int32, reason: String)
    case unknownHost(String, reason: String)
    /// The port speaks something else.
    case wrongProtocol(address: String, expected: String, found: String)
}

extension LoadError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .cannotConnect(let address, let reason):
            "\(address): cannot connect: \(reason); is a server running there?"
        case .idFile(let path, let line, let reason):
            line.map { "\(path), line \($0): \(reason)" } ?? "\(path): \(reason)"
        case .malformedAnswer(let text): "malformed answer: \(text)"
        case .noAnswer(let address, let expected, let seconds):
            """
            \(address): no answer to a greeting within \(seconds) s; does a server that speaks \
            \(expected) listen there?
            """
        case .notSecured(let address, let reason): "\(address): no secure connection: \(reason)"
        case .option(let text): text
        case .refused(let address, let reason): "\(address): \(reason)"
        case .system(let operation, _, let reason): "\(operation): \(reason)"
        case .unknownHost(let host, let reason): "host \(host): \(reason)"
        case .wrongProtocol(let address, let expected, let found):
            "\(address): expected \(expected), found \(found); see --protocol"
        }
    }
}
