"""Rows of serving.py that only Patron has: look-ups beside a full scan, beside a publish and beside a
scoring, idle connections, and a scan's bytes beside the loopback's; and what the machine takes from a thread
that does nothing but look at the clock."""
import json, statistics, subprocess, threading, time

# what a row is called
ROWS = {
    # First, while the server's memory has not been used by others yet.
    "idle": "idle connections",
    "jitter": "a thread that only looks at the clock, on an idle machine",
    "alone": "look-ups at the rate of the next three rows, nothing beside them",
    "scan": "look-ups beside a full scan, over and over, on a connection of its own",
    "publish": "look-ups beside publishes of scored generations, back and forth, with --background",
    "score": "look-ups beside a scoring on one thread and its publish, with --background",
    "stream": "SCAN of all customers and columns, one connection, closed loop",
}
BESIDE = ("alone", "scan", "publish", "score")


class Background:
    """Runs `work` over and over, or once, on a thread until the block ends."""

    def __init__(self, work, once=False):
        self._work, self._once, self._stop = work, once, threading.Event()
        self.rounds, self.seconds = 0, []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            start = time.perf_counter()
            self._work(self.rounds)
            self.seconds.append(time.perf_counter() - start)
            self.rounds += 1
            if self._once:
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def generations(run, workspace):
    """Two scored generations of the workspace: the newest one, and one that is made."""
    if run.generations is None:
        newest = json.loads(run.command("publish", workspace, "--without-ledger", "--json"))["generation"]
        start = time.perf_counter()
        made = json.loads(run.command("score", workspace, "--threads", 1, "--json"))
        run.score_seconds = time.perf_counter() - start
        run.generations = [newest, made["summary"]["generation"]]
    return run.generations


def beside(servers, workspace, row, rate, number):
    """One round of look-ups at a rate, and what ran beside them."""
    run = servers.run
    options = ["--rate", round(rate), "--arrivals", "poisson", "--seed", number + 1]
    if row == "scan":
        report = servers.load("Patron", *options, "--background-scan", 1)
        scan = report["background"]
        extra = dict(scan_bytes_per_second=scan["bytesPerSecond"], scans=scan["count"],
                     scan_seconds=scan["latency"]["p50"] / 1e6)
        if not scan["chunks"] or scan["errors"]:
            raise SystemExit(f"the scan beside the look-ups: {scan['errors']}, {scan['chunks']} chunks")
    elif row == "publish":
        pair = generations(run, workspace)
        with Background(lambda n: (run.command("publish", workspace, "--generation", pair[n % 2],
                                               "--background", "--threads", 1, "--without-ledger"),
                                   time.sleep(0.3))) as work:
            report = servers.load("Patron", *options)
        extra = dict(publishes=work.rounds, publish_seconds=statistics.median(work.seconds) - 0.3)
    elif row == "score":
        def score(_):
            run.command("score", workspace, "--background", "--threads", 1)
            run.command("publish", workspace, "--background", "--threads", 1, "--without-ledger")
        generations(run, workspace)
        # Long enough for most of the scoring and, where it goes as before, for the publish.
        with Background(score, once=True) as work:
            report = servers.load("Patron", *options, seconds=max(servers.seconds, 1.3 * run.score_seconds))
        extra = dict(score_seconds=statistics.median(work.seconds))
    else:
        report, extra = servers.load("Patron", *options), {}
    total = report["total"]
    if total["errors"] or report["lostConnections"]:
        raise SystemExit(f"{row}: {total['errors']}, {report['lostConnections']} connections lost")
    return dict(
        requests_per_second=report["achievedRate"], offered=rate, p50_us=total["latency"]["p50"],
        p99_us=total["latency"]["p99"], p999_us=total["latency"]["p999"], max_us=total["latency"]["maximum"],
        unanswered=total["unanswered"] + total["unsent"], generator_cores=report["generatorCores"], **extra)


def jitter(seconds):
    """How long the machine keeps a thread from the processor while nothing else is meant to run."""
    start = last = time.perf_counter()
    gaps = []
    while last - start < seconds:
        now = time.perf_counter()
        if now - last > 100e-6:
            gaps.append(now - last)
        last = now
    return dict(gaps_per_second=len(gaps) / seconds, lost_share=sum(gaps) / seconds,
                longest_us=max(gaps, default=0) * 1e6)


def idle(servers, count, process):
    """What idle connections cost the server's process."""
    report = servers.load("Patron", "--closed", "--mix", "ping", "--connections", 1,
                          "--idle-connections", count, "--server-pid", process, all_columns=True)
    found = report["idle"]
    return dict(connections=found["connections"], alive=found["alive"],
                server_bytes_before=found["serverBytesBefore"], server_bytes_after=found["serverBytesAfter"],
                server_bytes_each=found["serverBytesEach"])


def stream(servers, loopback):
    """A scan's bytes, and the share of what one stream over loopback carries."""
    report = servers.load("Patron", "--closed", "--mix", "scan", "--connections", 1, all_columns=True)
    scan = report["operations"][0]
    if scan["errors"] or not scan["chunks"]:
        raise SystemExit(f"scan: {scan['errors']}, {scan['chunks']} chunks")
    return dict(bytes_per_second=scan["bytesPerSecond"], scans=scan["count"], chunks=scan["chunks"],
                scan_seconds=scan["latency"]["p50"] / 1e6, loopback_bytes_per_second=loopback,
                share=scan["bytesPerSecond"] / loopback)


def measure(servers, workspace, options, process, rate):
    """Rounds of all rows wanted, in turn: a list of dictionaries of medians, one a row."""
    rows = [row for row in ROWS if row in options.only]
    loopback = None
    if "stream" in rows:
        roofline = servers.run.command("roofline", "--json", "--seconds-per-test",
                                       0.002 if options.smoke else 0.25)
        loopback = json.loads(roofline)["limits"]["loopback"]["one_thread"] * 1e9
    found = {}
    for number in range(options.rounds):
        for row in rows:
            if row in BESIDE:
                result = beside(servers, workspace, row, rate, number)
            elif row == "jitter":
                result = jitter(servers.seconds)
            elif row == "idle":
                if number > 0:
                    # The memory of closed connections is used again: only the first opening tells.
                    continue
                result = idle(servers, options.idle_connections, process)
            else:
                result = stream(servers, loopback)
            print(json.dumps(dict(row=row, **result)), flush=True)
            found.setdefault(row, []).append(result)
    return [
        dict(row=row, job=ROWS[row], server="Patron", rounds=len(results),
             **{key: statistics.median(r[key] for r in results) for key in results[0]})
        for row, results in found.items()]


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def table(rows):
    lines = []
    timed = [row for row in rows if row["row"] in BESIDE]
    if timed:
        lines += ["", "| Patron, open loop, Poisson, 1 id a request, 50 connections | requests/s | p50 µs | "
                  "p99 µs | p99.9 µs | max µs | beside |", "|---|---:|---:|---:|---:|---:|---|"]
    for row in timed:
        what = {
            "scan": lambda: f"{row['scan_bytes_per_second'] / 1e6:,.0f} MB/s of scans",
            "publish": lambda: f"{row['publishes']:.0f} publishes, {row['publish_seconds']:.2f} s each",
            "score": lambda: f"{row['score_seconds']:.1f} s",
        }.get(row["row"], lambda: "")()
        lines.append(
            f"| {row['job']} | {number(row['requests_per_second'])} | {number(row['p50_us'])} | "
            f"{number(row['p99_us'])} | {number(row['p999_us'])} | {number(row['max_us'])} | {what} |")
    lines.append("")
    for row in rows:
        if row["row"] == "jitter":
            lines.append(
                f"The machine: {row['job']}, is kept from it {row['gaps_per_second']:.1f} times a second for more than "
                f"100 µs, {100 * row['lost_share']:.2f} % of the time, {number(row['longest_us'])} µs at most.")
        if row["row"] == "idle":
            lines.append(
                f"Idle connections: {number(row['connections'])}, {number(row['alive'])} alive after the load; "
                f"{number(row['server_bytes_each'])} bytes of the server's resident memory each (target: "
                "at most 16,384).")
        if row["row"] == "stream":
            lines.append(
                f"SCAN: {row['bytes_per_second'] / 1e9:.2f} GB/s in chunks of all columns, "
                f"{row['scan_seconds']:.2f} s a scan; one stream over loopback "
                f"{row['loopback_bytes_per_second'] / 1e9:.2f} GB/s (`patron roofline`): "
                f"{100 * row['share']:.0f} %.")
    return lines
