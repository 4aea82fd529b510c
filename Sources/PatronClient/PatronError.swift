/// Why a request has no answer.
public enum PatronError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The task that asked was cancelled; the server was told, if the request had left.
    case cancelled
    case cannotConnect(host: String, port: Int, reason: String)
    /// This side closed the pool of connections.
    case clientClosed
    /// The connection ended before the answer came. What only reads can be repeated on a new one;
    /// whether anything else was done is unknown.
    case connectionClosed(reason: String)
    /// The client's own deadline; the server may still be working on the request.
    case deadlinePassed
    /// The server said GOAWAY: connect again.
    case goingAway(reason: String)
    /// What a request asks for cannot be meant; nothing was sent.
    case invalidOption(name: String, reason: String)
    /// The server sent something that is not its protocol; the connection is closed.
    case malformedAnswer(reason: String)
    /// Integer and text ids in one look-up.
    case mixedIDs
    /// TLS could not be agreed on, or the two sides differ in whether they speak it.
    case notSecured(reason: String)
    /// The server answered with a status other than ok.
    case refused(Refusal)
    /// The request is larger than the server accepts.
    case requestTooLarge(byteCount: Int, limit: Int)

    /// A status other than ok, in the server's words.
    public struct Refusal: Sendable, Equatable {
        /// The number; protocol/WIRE.md, "Status".
        public var status: UInt32
        /// The number's name there.
        public var name: String
        public var text: String
        public var hint: String
        /// The field at fault, by its name in protocol/WIRE.md; may be empty.
        public var field: String
        /// Where in the request's body, or in the text of a rule, the fault lies.
        public var byteOffset: Int?
        /// The pause that the server asks for before another try.
        public var retryAfter: Duration?

        public init(
            status: UInt32, name: String, text: String, hint: String, field: String = "",
            byteOffset: Int? = nil, retryAfter: Duration?
        ) {
            self.status = status
            self.name = name
            self.text = text
            self.hint = hint
            self.field = field
            self.byteOffset = byteOffset
            self.retryAfter = retryAfter
        }

        /// Where in a text that a person wrote.
        var place: Int? { field == "rule" ? byteOffset : nil }
    }

    public var description: String {
        switch self {
        case .cancelled:
            "the request was cancelled"
        case .clientClosed:
            "this client is closed: make a new one"
        case .cannotConnect(let host, let port, let reason):
            "cannot connect to \(host):\(port): \(reason); is the server running there?"
        case .connectionClosed(let reason):
            "the connection ended: \(reason); connect again"
        case .deadlinePassed:
            "no answer before the deadline"
        case .goingAway(let reason):
            "the server is going away: \(reason); connect again"
        case .invalidOption(let name, let reason):
            "\(name) \(reason)"
        case .malformedAnswer(let reason):
            "the server's answer cannot be read: \(reason)"
        case .mixedIDs:
            "integer and text ids in one look-up: use the kind that describe names"
        case .notSecured(let reason):
            "no secure connection: \(reason)"
        case .refused(let refusal):
            refusal.text + (refusal.place.map { " at byte \($0)" } ?? "") + " (\(refusal.name))"
                + (refusal.hint.isEmpty ? "" : ": \(refusal.hint)")
        case .requestTooLarge(let byteCount, let limit):
            "the request takes \(byteCount) bytes, the server accepts \(limit): split it"
        }
    }
}
