import ArgumentParser
import Lab

struct RooflineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roofline",
        abstract: "Measure what this machine can do at most.",
        discussion: """
            Every limit is the best of several repetitions on memory that was written before; what \
            the machine does for others in the meantime makes single repetitions slower, never \
            faster. Giga is 10^9.

            \(Roofline.rows.map { "\($0.name): \($0.meaning)." }.joined(separator: "\n"))

            The JSON has machine (processor, cores, memory_bytes, l1_bytes, l2_bytes of a core, \
            l3_bytes), threads, isa, seconds and limits: by the names above an object with unit, \
            one_thread, all_threads and the medians of the repetitions, one_thread_median and \
            all_threads_median. Latency and the loopback have no all_threads. patron lab takes this \
            JSON as --roofline.
            """)

    @Option(help: "About how long each figure is measured.")
    var secondsPerTest = 0.25
    @OptionGroup var threads: ThreadOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (0.001...60).contains(secondsPerTest) else {
            throw ValidationError(
                "--seconds-per-test is between 0.001 and 60, not \(secondsPerTest)")
        }
    }

    func run() throws {
        let roofline = try RooflineRun.measure(
            threadCount: threads.threads, secondsPerTest: secondsPerTest,
            progress: { Terminal.progress("measuring \($0)") })
        Terminal.endProgress()
        try output.print(roofline, text: \.text)
    }
}

extension Roofline {
    fileprivate var text: String {
        var table = TextTable([
            "limit", "1 thread>", threads == 1 ? "all threads>" : "\(threads) threads>", "unit",
            "meaning",
        ])
        for row in Self.rows {
            guard let limit = limits[row.name] else { continue }
            table.add([
                row.name, limit.oneThread.significant,
                limit.allThreads.map(\.significant) ?? "", limit.unit, row.meaning,
            ])
        }
        let mebi = Double(1 << 20)
        return """
            \(table.text)
            \(machine.processor), \(machine.cores) cores; caches \(machine.l1Bytes >> 10) KiB, \
            \((Double(machine.l2Bytes) / mebi).decimals(1)) MiB, \
            \((Double(machine.l3Bytes) / mebi).decimals(1)) MiB; level \(isa); \
            \(seconds.decimals(1)) s
            """
    }
}
