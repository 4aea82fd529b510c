#!/usr/bin/env python3
"""Look-ups of Patron beside Redis and memcached, by the same generator (`patron load`), on one machine.

    swift build -c release --product patron
    python3 Benchmarks/peers/serving.py [--customers 1000000] [--rounds 5] [--seconds 5] [--loops 2]

A retailer is generated and scored once, in --folder. Patron serves it; redis-server and memcached, on
free loopback ports of their own, hold a value of 8 bytes for each of Patron's columns for every
customer. Every round asks the three in turn (A/B/C/A/B/C): closed loops of 50 connections with one
id a request, with 32 requests pipelined, with 256 ids a request; then open loops at 70 % of each
server's saturation, which a search found before. Reported are medians. The generator runs on the same
cores as the servers: the figures are those of the pair. Writes <results>/<date>-serving.{json,md};
`--smoke` uses a small retailer and short runs and writes nothing.
"""
import contextlib, json, pathlib, shutil, signal, socket, statistics, subprocess, sys, time

import side

FIRST_ID = 10_000_001
BYTES_A_COLUMN = 8
# what a row is called, options of `patron load`
ROWS = {
    "single": ("50 connections, 1 id a request, closed loop", ["--closed"]),
    "pipelined": ("the same, 32 requests pipelined", ["--closed", "--pipeline", 32]),
    "batch": ("the same, 256 ids a request", ["--closed", "--ids-per-request", 256]),
    "open": ("open loop at 70 % of saturation, Poisson, 1 id a request", []),
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def server(command, port):
    """Runs it until the block ends; waits until its port answers."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(400):
            if process.poll() is not None:
                sys.exit(f"{command[0]}: {process.stderr.read().decode()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        else:
            sys.exit(f"{command[0]} does not answer on port {port}")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def fill(port, customers, value, make, answer):
    """Stores a value for every customer, 1,000 at a time."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        for start in range(0, customers, 1_000):
            ids = range(FIRST_ID + start, FIRST_ID + min(start + 1_000, customers))
            link.sendall(b"".join(make(str(i).encode(), value) for i in ids))
            got = b""
            while got.count(answer) < len(ids):
                piece = link.recv(65_536)
                if not piece:
                    sys.exit(f"port {port}: closed while it was filled")
                got += piece


def redis_set(key, value):
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)


def memcached_set(key, value):
    return b"set %b 0 0 %d\r\n%b\r\n" % (key, len(value), value)


def make_shop(run, customers):
    """A retailer that has been scored and published."""
    folder = run.folder / f"shop-{customers}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run.command("generate", folder / "data", "--customers", customers, "--days", 365, "--seed", 1)
        run.command("init", folder / "ws", "--plan", folder / "data/patron.yaml")
        run.command("run", folder / "ws")
        shutil.rmtree(folder / "data")
        (folder / "done").touch()
    return folder / "ws"


class Servers:
    """The three, by name: port and protocol."""

    def __init__(self, run, customers, seconds, warm_up):
        self.run, self.customers = run, customers
        self.seconds, self.warm_up = seconds, warm_up
        self.ports = {}

    def load(self, name, *options):
        """One run of the generator, its JSON."""
        last = FIRST_ID + self.customers - 1
        speaks = "patron" if name == "Patron" else name.lower()
        text = self.run.command(
            "load", "--connect", f"127.0.0.1:{self.ports[name]}", "--protocol", speaks,
            "--id-range", f"{FIRST_ID}-{last}", "--duration", self.seconds,
            "--warm-up", self.warm_up, "--json", *options)
        return json.loads(text)

    def checked(self, name, *options):
        """The same; errors and keys that are not there are no measurement."""
        report = self.load(name, *options)
        total = report["total"]
        if total["errors"] or total["unanswered"] or report["lostConnections"]:
            sys.exit(f"{name}: {total['errors']}, {total['unanswered']} unanswered, "
                     f"{report['lostConnections']} connections lost")
        if total["keysFound"] < total["keysChecked"]:
            sys.exit(f"{name}: {total['keysChecked'] - total['keysFound']} keys were not found")
        return report


def measure(servers, names, rows, rounds):
    """Reports of every row, server and round; saturations."""
    saturation, reports = {}, {}
    if "open" in rows:
        for name in names:
            found = servers.load(name, "--saturate", "--p99-limit", "10ms")
            saturation[name] = found["saturationRate"]
            print(json.dumps(dict(server=name, saturation=found["saturationRate"],
                                  closedLoopRate=found["closedLoopRate"], steps=found["steps"])),
                  flush=True)
    for number in range(rounds):
        for row in rows:
            for name in names:
                options = ROWS[row][1]
                if row == "open":
                    options = ["--rate", round(saturation[name] * 0.7), "--arrivals", "poisson"]
                report = servers.checked(name, *options, "--seed", number + 1)
                report.pop("operations")
                for key in ("latencyCurve", "serviceCurve"):
                    report["total"].pop(key)
                reports.setdefault((row, name), []).append(report)
    return saturation, reports


def summarise(row, name, runs):
    def median(value):
        return statistics.median(value(report) for report in runs)

    def span(value):
        return [min(map(value, runs)), max(map(value, runs))]
    return dict(
        row=row, job=ROWS[row][0], server=name, rounds=len(runs),
        requests_per_second=median(lambda r: r["achievedRate"]),
        requests_per_second_range=span(lambda r: r["achievedRate"]),
        ids_per_second=median(lambda r: r["idsPerSecond"]),
        offered=runs[0].get("offeredRate"),
        p50_us=median(lambda r: r["total"]["latency"]["p50"]),
        p99_us=median(lambda r: r["total"]["latency"]["p99"]),
        p99_us_range=span(lambda r: r["total"]["latency"]["p99"]),
        p999_us=median(lambda r: r["total"]["latency"]["p999"]),
        max_us=median(lambda r: r["total"]["latency"]["maximum"]),
        sent_p50_us=median(lambda r: r["total"]["service"]["p50"]),
        sent_p99_us=median(lambda r: r["total"]["service"]["p99"]),
        bytes_per_answer=median(lambda r: r["bytesPerAnswer"]),
        generator_cores=median(lambda r: r["generatorCores"]))


def table(run, machine):
    lines = [
        f"# Look-ups beside Redis and memcached, {machine['date']}", "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; load "
        f"{machine['load_before']} before, {machine['load_after']} after; commit {machine['commit']}.",
        f"{run.customers:,} customers, {run.columns} columns, {run.value_bytes} bytes a value in Redis "
        f"{run.versions['redis']} and memcached {run.versions['memcached']}; `patron serve --loops "
        f"{run.loops}`, one thread of `patron load` for all. Medians of {run.rounds} interleaved rounds of "
        f"{run.seconds} s; ratio = Patron / other.", "",
        "| | server | requests/s | ratio | ids/s | p50 µs | p99 µs | p99.9 µs | generator, cores |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ours = {row["row"]: row for row in run.rows if row["server"] == "Patron"}
    for row in run.rows:
        ratio = ""
        if row["server"] != "Patron" and row["row"] in ours:
            ratio = f"{ours[row['row']]['requests_per_second'] / row['requests_per_second']:.2f}"
        lines.append(
            f"| {row['job'] if row['server'] == 'Patron' else ''} | {row['server']} | "
            f"{row['requests_per_second']:,.0f} | {ratio} | {row['ids_per_second']:,.0f} | "
            f"{row['p50_us']:,.0f} | {row['p99_us']:,.0f} | {row['p999_us']:,.0f} | "
            f"{row['generator_cores']:.2f} |")
    if run.saturation:
        found = ", ".join(f"{name} {rate:,.0f}" for name, rate in run.saturation.items())
        lines += ["", f"Saturation, requests/s: {found}."]
    lines += ["", "Targets: one id 1.3 times Redis with a p99 not above it; pipelined 2 times; 256 ids "
              "10,000,000 ids/s; open loop p99 300 µs and p99.9 1 ms."]
    return "\n".join(lines) + "\n"


def main():
    parser = side.parser(__doc__, ROWS)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--loops", type=int, default=2)
    options = parser.parse_args()
    options.inputs = options.folder / "serving"
    customers = 2_000 if options.smoke else options.customers
    if options.smoke:
        options.rounds, options.seconds, options.warm_up = 1, 0.3, 0.1
    for program in ("redis-server", "memcached"):
        if not shutil.which(program):
            sys.exit(f"{program} is not installed")
    machine = side.machine()
    run = side.Run(options, None)
    run.customers, run.loops, run.seconds = customers, options.loops, options.seconds
    run.versions = {}
    workspace = make_shop(run, customers)
    described = json.loads(run.command("describe", "--workspace", workspace, "--json"))
    run.columns = len(described["columns"])
    run.value_bytes = BYTES_A_COLUMN * run.columns
    value = bytes(97 + i % 26 for i in range(run.value_bytes))
    for name, arguments in (("redis", ["redis-server", "--version"]), ("memcached", ["memcached", "-V"])):
        words = subprocess.run(arguments, capture_output=True, text=True).stdout.split()
        run.versions[name] = next((w.removeprefix("v=") for w in words if w[-1].isdigit()), "?")
    servers = Servers(run, customers, options.seconds, options.warm_up)
    servers.ports = {name: free_port() for name in ("Patron", "Redis", "Memcached")}
    patron, redis, memcached = servers.ports.values()
    with server([options.patron, "serve", workspace, "--listen", f"127.0.0.1:{patron}",
                 "--loops", options.loops], patron), \
            server(["redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no"], redis), \
            server(["memcached", "-l", "127.0.0.1", "-p", memcached, "-U", 0, "-m", 1024, "-t", 2,
                    "-u", "root"], memcached):
        fill(redis, customers, value, redis_set, b"+OK\r\n")
        fill(memcached, customers, value, memcached_set, b"STORED\r\n")
        run.saturation, reports = measure(servers, list(servers.ports), options.only, options.rounds)
    for row in options.only:
        for name in servers.ports:
            run.rows.append(summarise(row, name, reports[row, name]))
    side.save(options, "serving", machine, run, table)


if __name__ == "__main__":
    main()
