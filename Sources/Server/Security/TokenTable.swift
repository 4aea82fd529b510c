import Foundation
package import Units

/// The tokens that a server accepts, by their hashes. A file of them has a line a token:
///
///     name scope,scope… sha256 [expires yyyy-MM-dd]
///
/// with blanks between; `#` begins a comment. `sha256` is 64 hexadecimal digits: SHA-256 of the bytes
/// that a client sends, which for tokens made by `patron token` is their text of 64 hexadecimal digits.
/// A token is good up to and on the day it expires, in UTC.
package struct TokenTable: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var name: String
        var scopes: Scopes
        /// 32 bytes.
        var hash: [UInt8]
        var expires: CalendarDay?

        func isGood(on day: CalendarDay) -> Bool { expires.map { day <= $0 } ?? true }
    }

    /// Why a credential is not accepted: for the log, never for the client.
    enum Finding: Sendable, Equatable {
        case accepted(Entry)
        case expired(name: String)
        case unknown
    }

    /// Bytes of a file of tokens.
    private static let byteLimit = 1 << 20
    private static let nameLimit = 128

    let entries: [Entry]
    /// Places in `entries`, by hash.
    private let positions: [[UInt8]: Int]

    /// - Throws: `tokens` with the first line that cannot be understood.
    package init(path: String) throws(ServerError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .unreadable(path: path)
        }
        guard data.count <= Self.byteLimit else {
            throw .tokens(path: path, line: 1, reason: "the file has more than 1 MiB")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw .tokens(path: path, line: 1, reason: "the file is not UTF-8")
        }
        try self.init(parsing: text, path: path)
    }

    /// - Parameter path: names the file in errors.
    package init(parsing text: String, path: String) throws(ServerError) {
        var entries: [Entry] = []
        var names: Set<String> = []
        var hashes: Set<[UInt8]> = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            func flaw(_ reason: String) -> ServerError {
                .tokens(path: path, line: index + 1, reason: reason)
            }
            let content = line.prefix { $0 != "#" }
            let words = content.split { $0 == " " || $0 == "\t" || $0 == "\r" }.map(String.init)
            if words.isEmpty { continue }
            guard words.count == 3 || words.count == 5 && words[3] == "expires" else {
                throw flaw("a line is: name scope,scope sha256 [expires yyyy-MM-dd]")
            }
            guard words[0].utf8.count <= Self.nameLimit else {
                throw flaw("a name has at most \(Self.nameLimit) bytes")
            }
            guard names.insert(words[0]).inserted else {
                throw flaw("the name \(words[0]) stands there twice")
            }
            guard let scopes = Scopes(parsing: words[1]) else {
                throw flaw("scopes are \(Scopes.all) with commas between, not '\(words[1])'")
            }
            guard let hash = Hexadecimal.bytes(words[2]), hash.count == 32 else {
                throw flaw("the hash of a token is 64 hexadecimal digits; patron token makes one")
            }
            guard hashes.insert(hash).inserted else { throw flaw("the token stands there twice") }
            var expires: CalendarDay?
            if words.count == 5 {
                guard let day = CalendarDay(parsing: words[4]) else {
                    throw flaw("expires takes a day such as 2027-12-31, not '\(words[4])'")
                }
                expires = day
            }
            entries.append(Entry(name: words[0], scopes: scopes, hash: hash, expires: expires))
        }
        self.entries = entries
        positions = Dictionary(
            uniqueKeysWithValues: entries.enumerated().map { ($1.hash, $0) })
    }

    /// Looks at every entry, and at every byte of its hash, whatever it finds.
    func find(_ token: [UInt8], today: CalendarDay) -> Finding {
        let wanted = SHA256.hash(token)
        var found = 0
        for (index, entry) in entries.enumerated() {
            var difference: UInt8 = 0
            for byte in 0..<32 { difference |= entry.hash[byte] ^ wanted[byte] }
            // All ones where nothing differs.
            let mask = (Int(difference) - 1) >> 63
            found |= (index + 1) & mask
        }
        guard found > 0 else { return .unknown }
        let entry = entries[found - 1]
        return entry.isGood(on: today) ? .accepted(entry) : .expired(name: entry.name)
    }

    /// The entry of a token that was accepted before, by its hash.
    func entry(of hash: [UInt8]) -> Entry? { positions[hash].map { entries[$0] } }
}

/// A token just made.
package struct NewToken: Sendable {
    /// What the client sends: 32 random bytes as 64 hexadecimal digits.
    package let token: String
    /// What stands for it in a file of tokens.
    package let line: String

    /// - Parameter name: without blanks and `#`.
    package init(name: String, scopes: Scopes, expires: CalendarDay?) {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        token = Hexadecimal.text(bytes)
        let hash = Hexadecimal.text(SHA256.hash(token.utf8))
        line = "\(name) \(scopes) \(hash)" + (expires.map { " expires \($0)" } ?? "")
    }
}

enum Hexadecimal {
    static func text(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Nil where there is anything but pairs of digits.
    static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(UInt8(high * 16 + low))
        }
        return bytes
    }
}
