import Load

extension LoadReport {
    /// One line about what was run.
    var summary: String {
        let pace =
            switch (loop, offeredRate, arrivals) {
            case ("open", let rate?, let arrivals?):
                "open loop, \(Int(rate.rounded()).grouped) requests/s \(arrivals.rawValue)"
            default: "closed loop, \(Int(achievedRate.rounded()).grouped) requests/s"
            }
        let ids = idsPerRequest == 1 ? "" : ", \(idsPerRequest) ids a look-up"
        return
            "\(pace), \(connections) connections, pipeline \(pipeline)\(ids), \(keys) keys, "
            + "\(seconds.decimals(1)) s, \(speaks.rawValue)" + (tls == true ? " with TLS" : "")
            + (label.map { ", label \($0)" } ?? "")
    }

    var text: String {
        var table = TextTable([
            "operation", "requests>", "answers/s>", "p50>", "p90>", "p99>", "p99.9>", "max>",
            "sent p50>", "sent p99>", "errors>", "unanswered>",
        ])
        for operation in operations + (operations.count > 1 ? [total] : [])
            + [background].compactMap({ $0 })
        {
            let (latency, service) = (operation.latency, operation.service)
            let times = [
                latency.p50, latency.p90, latency.p99, latency.p999, latency.maximum, service.p50,
                service.p99,
            ]
            let cells = [
                operation.name, operation.count.grouped, Int(operation.rate.rounded()).grouped,
            ]
            table.add(
                cells + times.map(\.microseconds) + [
                    operation.errorCount.grouped,
                    (operation.unanswered + operation.unsent).grouped,
                ])
        }
        return ([summary, table.text, Self.legend] + notes).joined(separator: "\n")
    }

    private static let legend = "microseconds from the intended time; sent: from sending"

    private var notes: [String] {
        var notes: [String] = []
        let idRate =
            idsPerRequest == 1 ? "" : "; \(Int(idsPerSecond.rounded()).grouped) ids/s"
        let bytes = Int(bytesPerAnswer.rounded()).grouped
        notes.append("\(bytes) bytes an answer\(idRate)")
        for operation in operations + [background].compactMap({ $0 }) {
            guard let rate = operation.bytesPerSecond, let chunks = operation.chunks else {
                continue
            }
            notes.append(
                "\(operation.name): \((rate / 1e6).decimals(1)) MB/s in "
                    + "\(chunks.grouped) chunks")
        }
        if let idle {
            var text = "\(idle.connections.grouped) idle connections, \(idle.alive.grouped) alive"
            if let each = idle.serverBytesEach {
                text += "; \(Int(each.rounded()).grouped) bytes of the server's memory each"
            }
            notes.append(text)
        }
        let share = generatorCores / Double(threads)
        let isLimit = share > 0.9 ? ": it may have been the limit, not the server" : ""
        notes.append(
            "the generator took \(generatorCores.decimals(2)) of \(threads) "
                + (threads == 1 ? "core" : "cores") + isLimit)
        if total.keysChecked > total.keysFound {
            notes.append(
                "\((total.keysChecked - total.keysFound).grouped) of \(total.keysChecked.grouped) "
                    + "keys looked at were not found")
        }
        for operation in operations + [background].compactMap({ $0 }) {
            for (status, count) in operation.errors.sorted(by: { $0.key < $1.key }) {
                notes.append("\(operation.name): \(count.grouped) times \(status)")
            }
        }
        if missingCount > 0 {
            notes.append(
                """
                \(total.unanswered.grouped) requests were not answered and \(total.unsent.grouped) \
                not sent; they count with the time that they had waited, which is too little
                """)
        }
        if warmUpErrors > 0 { notes.append("\(warmUpErrors.grouped) errors while warming up") }
        if strayAnswers > 0 { notes.append("\(strayAnswers.grouped) answers to no request") }
        if lostConnections > 0 || firstLoss != nil {
            notes.append(
                "\(lostConnections.grouped) connections lost: \(firstLoss ?? "unknown reason")")
        }
        return notes
    }
}

extension Double {
    fileprivate var microseconds: String {
        self < 99.95 ? decimals(1) : Int(rounded()).grouped
    }
}

extension LoadCommand.Search {
    var text: String {
        var table = TextTable(["rate>", "offered>", "achieved>", "p99 us>", "errors>", "kept up"])
        for step in steps {
            table.add([
                Int(step.rate.rounded()).grouped, Int(step.offered.rounded()).grouped,
                Int(step.achieved.rounded()).grouped,
                Int(step.p99Microseconds.rounded()).grouped, step.errors.grouped,
                step.isKeptUp ? "yes" : "no",
            ])
        }
        let found =
            saturationRate.map { "saturation: \(Int($0.rounded()).grouped) requests/s" }
            ?? "saturation: not found"
        let closed = "closed loop: \(Int(closedLoopRate.rounded()).grouped) requests/s"
        return [closed, table.text, found, report?.text].compactMap { $0 }.joined(separator: "\n")
    }
}
