/// The page of the admin port for people: what is served, to how many, how fast. It needs nothing but
/// itself, has no script, and asks for itself again every five seconds.
struct StatusPage {
    let html: String

    /// - Parameter earlier: up to a minute old; rates and latencies are of the time since then.
    init(_ now: ServerMetrics, since earlier: ServerMetrics?) {
        let seconds = now.uptimeSeconds - (earlier?.uptimeSeconds ?? 0)
        var rows = ""
        for (index, operation) in now.operations.enumerated() {
            let failed = operation.failures.values.reduce(0, +)
            let total = operation.okCount + failed
            guard total > 0 else { continue }
            let before = earlier?.operations[index]
            let failedBefore = before?.failures.values.reduce(0, +) ?? 0
            let recent = total - (before?.okCount ?? 0) - failedBefore
            let latencies =
                before.map { operation.latencies.since($0.latencies) }
                ?? operation.latencies
            let cells = [
                Self.rate(Double(recent) / max(seconds, 0.001)),
                Self.time(latencies.quantile(0.5)), Self.time(latencies.quantile(0.99)),
                Self.time(latencies.quantile(0.999)), Self.grouped(Int(clamping: total)),
                Self.grouped(Int(clamping: failed)),
            ]
            rows += "<tr><th scope=row>\(operation.name)</th>"
            rows += cells.map { "<td>\($0)</td>" }.joined() + "</tr>"
        }
        if rows.isEmpty { rows = "<tr><td colspan=7 class=none>no request yet</td></tr>" }
        let models = now.models.map { "\(Self.escaped($0.name)) \($0.version)" }
            .joined(separator: ", ")
        let (phase, tone) =
            switch now.phase {
            case .loading: ("loading", "wait")
            case .ready: ("ready", "good")
            case .draining: ("draining", "wait")
            }
        let facts = [
            ("Generation", now.generation > 0 ? "\(now.generation)" : "–"),
            ("As of", now.asOf?.description ?? "–"),
            ("Customers", Self.grouped(now.customerCount)),
            ("Products", Self.grouped(now.productCount)),
            ("Currency", now.currency.isEmpty ? "–" : Self.escaped(now.currency)),
            ("Uptime", Self.span(now.uptimeSeconds)),
            ("Connections", Self.grouped(now.openConnections)),
            ("Queued scans", Self.grouped(now.queuedScans)),
            ("Streams", Self.grouped(now.openStreams)),
            ("Refused connections", Self.grouped(now.counters.refusedConnections)),
            ("Failed credentials", Self.grouped(now.counters.authenticationFailures)),
            ("Dropped log lines", Self.grouped(now.droppedLogLines)),
        ]
        let list = facts.map { "<div><dt>\($0.0)</dt><dd>\($0.1)</dd></div>" }.joined()
        let window = Self.span(max(seconds, 0))
        html = """
            <!doctype html>
            <html lang=en><head><meta charset=utf-8><title>Patron: \(phase)</title>
            <meta name=viewport content="width=device-width,initial-scale=1">
            <meta http-equiv=refresh content=5><style>\(Self.style)</style></head><body>
            <header><h1>Patron</h1><span class="phase \(tone)">\(phase)</span></header>
            <dl>\(list)</dl>
            <p class=models>\(models.isEmpty ? "" : "Models: \(models)")</p>
            <div class=wide><table><caption>Requests; rates and latencies of the last \(window)</caption>
            <thead><tr><th scope=col>Operation</th><th scope=col>a second</th><th scope=col>P50</th>
            <th scope=col>P99</th><th scope=col>P99.9</th><th scope=col>since the start</th>
            <th scope=col>not ok</th></tr></thead><tbody>\(rows)</tbody></table></div>
            <footer>Latency: from the read of a request until its answer is handed over, within 1.6 %.
            <a href=/metrics>metrics</a></footer></body></html>
            """
    }

    private static let style = """
        :root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#d9dee3;--paper:#fff;\
        --card:#f5f7f9;--good:#1a7f37;--wait:#9a6700}
        @media(prefers-color-scheme:dark){:root{--ink:#e6eaee;--soft:#98a3ae;--line:#30373e;\
        --paper:#14181c;--card:#1c2228;--good:#4ac26b;--wait:#d4a72c}}
        *{box-sizing:border-box}
        body{margin:0 auto;max-width:64rem;padding:1.5rem;background:var(--paper);color:var(--ink);\
        font:15px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums}
        header{display:flex;align-items:center;gap:.75rem}
        h1{font-size:1.5rem;margin:0}
        .phase{border:1px solid;border-radius:1rem;padding:.05rem .7rem;font-size:.9rem}
        .good{color:var(--good)}.wait{color:var(--wait)}
        dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.6rem;\
        margin:1.2rem 0}
        dl div{background:var(--card);border-radius:.5rem;padding:.55rem .8rem}
        dt,footer,caption,.models,thead th{color:var(--soft);font-size:.85rem}
        dd{margin:0;font-size:1.15rem}
        .wide{overflow-x:auto}
        table{border-collapse:collapse;width:100%;margin:1rem 0}
        caption{text-align:left;padding-bottom:.4rem}
        th,td{padding:.4rem .6rem;text-align:right;border-bottom:1px solid var(--line);\
        white-space:nowrap}
        th:first-child{text-align:left;font-weight:600}
        thead th{font-weight:400}
        .none{text-align:center;color:var(--soft)}
        a{color:inherit}
        """

    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }

    /// `1,234,567`
    static func grouped(_ number: Int) -> String {
        var digits = Array(String(abs(number)))
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: index)
            index -= 3
        }
        return (number < 0 ? "-" : "") + String(digits)
    }

    /// Three digits and a unit: `12.3 µs`.
    static func time(_ nanoseconds: Double?) -> String {
        guard let nanoseconds else { return "–" }
        let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")]
        let (scale, unit) = units.first { nanoseconds >= $0.0 } ?? (1, "ns")
        return "\(short(nanoseconds / scale)) \(unit)"
    }

    private static func rate(_ value: Double) -> String {
        value >= 1_000 ? grouped(Int(value.rounded())) : short(value)
    }

    /// Three digits.
    private static func short(_ value: Double) -> String {
        let decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2
        let scale = decimals == 0 ? 1.0 : decimals == 1 ? 10 : 100
        let rounded = Int((value * scale).rounded())
        guard decimals > 0 else { return "\(rounded)" }
        let fraction = String(rounded % Int(scale))
        return "\(rounded / Int(scale))."
            + String(repeating: "0", count: decimals - fraction.count) + fraction
    }

    /// `3 d 4 h`, `5 min 6 s`
    static func span(_ seconds: Double) -> String {
        let seconds = Int(max(0, seconds))
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60)
        if days > 0 { return "\(days) d \(hours) h" }
        if hours > 0 { return "\(hours) h \(minutes) min" }
        if minutes > 0 { return "\(minutes) min \(seconds % 60) s" }
        return "\(seconds) s"
    }
}
