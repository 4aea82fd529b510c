import Logging
import NIOPosix
import NIOSSL
import Synchronization

/// What new connections begin TLS with: the files as they were last read and fit together.
final class ServedCertificates: Sendable {
    private let loaded: Mutex<Loaded>
    private let reloads = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)

    struct Loaded: Sendable {
        let context: NIOSSLContext
        /// When the first of the certificates ends to be valid, in seconds since 1970-01-01 UTC.
        let validUntil: Int
        /// Of the files' bytes.
        let digest: [UInt8]

        /// - Throws: `tls` or `unreadable`.
        init(_ files: TLSFiles) throws(ServerError) {
            // First: what changes meanwhile is then seen as a change by the next look.
            digest = files.digest
            context = try files.context()
            validUntil = try files.validUntil()
        }
    }

    init(_ loaded: Loaded) { self.loaded = Mutex(loaded) }

    var context: NIOSSLContext { loaded.withLock { $0.context } }
    var validUntil: Int { loaded.withLock { $0.validUntil } }

    /// - Returns: false where the files are those of before.
    func use(_ next: Loaded) -> Bool {
        let isNew = loaded.withLock { loaded in
            defer { loaded = next }
            return loaded.digest != next.digest
        }
        if isNew { reloads.wrappingAdd(1, ordering: .relaxed) }
        return isNew
    }

    func failed() { failures.wrappingAdd(1, ordering: .relaxed) }

    var metrics: CertificateMetrics {
        CertificateMetrics(
            validUntil: validUntil, reloads: reloads.load(ordering: .relaxed),
            failures: failures.load(ordering: .relaxed))
    }
}

/// What the metrics tell of the files of TLS.
package struct CertificateMetrics: Sendable, Equatable {
    /// Seconds since 1970-01-01, UTC.
    package var validUntil: Int
    /// How often they were read again and served.
    package var reloads: Int
    /// How often they could not be.
    package var failures: Int
}

/// Reads the files of TLS again when one of them changes, for connections that begin from then on.
/// Files that cannot be read, or do not fit together, leave what is served; they are complained of
/// once, and not before they have stayed so for an interval: a certificate and its key are replaced
/// one after the other.
struct CertificateWatcher: Sendable {
    /// From so long before its end a certificate is warned of, each day again.
    static let noticeSeconds = 14 * 86_400
    private static let secondsADay = 86_400

    let files: TLSFiles
    let interval: Duration
    let certificates: ServedCertificates
    let logger: Logger
    let now: @Sendable () -> Int
    /// When the start warned, or saw no cause to.
    let checkedAt: Int
    /// From before the files were read at the start.
    let first: FileWatch

    /// Returns when its task is cancelled.
    func run() async {
        var watch = first
        var complaint: ServerError?
        var isUnsaid = false
        var warnedAt = checkedAt
        while true {
            do { try await Task.sleep(for: interval) } catch { return }
            let look = try? await NIOThreadPool.singleton.runIfActive { [files, watch] in
                var watch = watch
                return (watch.isDue() ? Self.read(files) : nil, watch)
            }
            guard let (outcome, looked) = look else { continue }
            watch = looked
            switch outcome {
            case .success(let loaded)?:
                (complaint, isUnsaid) = (nil, false)
                guard certificates.use(loaded) else { break }
                logger.info(
                    "certificates read again",
                    metadata: [
                        "certificate": "\(files.certificatePath)",
                        "validUntil": "\(LogTime(milliseconds: loaded.validUntil * 1_000))",
                    ])
                warnedAt = .min
            case .failure(let error)? where error != complaint:
                (complaint, isUnsaid) = (error, true)
            case .failure?, nil:
                guard isUnsaid, let complaint else { break }
                isUnsaid = false
                certificates.failed()
                logger.error(
                    "certificates cannot be read again, the old ones stay",
                    metadata: ["error": "\(complaint)"])
            }
            let time = now()
            if warnedAt <= time - Self.secondsADay,
                let warning = Self.warning(certificates.validUntil, now: time)
            {
                warnedAt = time
                logger.warning("\(warning)")
            }
        }
    }

    /// What is to be said of a certificate that has ended or will soon; nil of others.
    static func warning(_ validUntil: Int, now: Int) -> String? {
        let left = validUntil - now
        if left <= 0 { return "the certificate has expired: clients will not accept it" }
        guard left < noticeSeconds else { return nil }
        return "the certificate expires in \(left / secondsADay) days"
    }

    private static func read(_ files: TLSFiles) -> Result<ServedCertificates.Loaded, ServerError> {
        Result { () throws(ServerError) in try ServedCertificates.Loaded(files) }
    }
}
