import ArgumentParser
import Server
import Units

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make a token that lets a client in.",
        discussion: """
            Prints the token, 32 random bytes as 64 hexadecimal digits, and the line to add to the \
            file that `patron serve --tokens` reads. The token is kept nowhere: the line has its \
            SHA-256 only.
            """)

    @Argument(help: "Name of who is to have it, for the server's log.")
    var name: String
    @Option(help: "What it allows: read, score, append, erase, admin, with commas between.")
    var scopes = "read"
    @Option(help: "The last day on which it is good, yyyy-MM-dd, in UTC; by default for ever.")
    var expires: String?
    @OptionGroup var output: OutputOptions

    struct Made: Encodable {
        var token: String
        var line: String
    }

    func validate() throws { _ = try parsed() }

    private func parsed() throws -> (Scopes, CalendarDay?) {
        let isPlain =
            !name.isEmpty && name.utf8.count <= 128
            && name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "#" && $0.value != 0x7F }
        guard isPlain else {
            throw ValidationError("a name has no blanks and no #, and at most 128 bytes")
        }
        guard let scopes = Scopes(parsing: scopes) else {
            throw ValidationError(
                "--scopes takes \(Scopes.all) with commas between, not '\(self.scopes)'")
        }
        let day = try expires.map { text in
            guard let day = CalendarDay(parsing: text) else {
                throw ValidationError("--expires takes a day such as 2027-12-31, not '\(text)'")
            }
            return day
        }
        return (scopes, day)
    }

    func run() throws {
        let (scopes, day) = try parsed()
        let made = NewToken(name: name, scopes: scopes, expires: day)
        try output.print(Made(token: made.token, line: made.line)) { made in
            """
            token, shown this once: \(made.token)
            line for the file of tokens:
            \(made.line)
            """
        }
    }
}
