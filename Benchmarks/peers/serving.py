#!/usr/bin/env python3
"""Look-ups of Patron beside Redis and memcached, by the same generator (`patron load`), on one machine.

    swift build -c release --product patron
    python3 Benchmarks/peers/serving.py [--customers 1000000] [--rounds 5] [--seconds 5] [--loops 2]
        [--server-cores 0] [--load-cores 1] [--idle-connections 10000]
        [--columns lifetime_value churn_probability ...]

A retailer is generated and scored once, in --folder. Patron serves it; redis-server and memcached, on
free loopback ports of their own, hold a value of 8 bytes for each of Patron's columns (or of those that
--columns names, which Patron is then asked for) for every customer. Every round asks the three in turn (A/B/C/A/B/C): closed loops of 50 connections with one
id a request, with 32 requests pipelined, with 256 ids a request; then open loops at 70 % of each
server's saturation, which a search found before. Reported are medians. The generator runs on the same
cores as the servers, unless --server-cores and --load-cores pin them: the figures are those of the pair.

Patron alone, with the same server: look-ups at --beside-rate beside nothing, a full scan, publishes and
a scoring; what idle connections cost; a scan's bytes beside what one stream over loopback carries
(own.py). Writes <results>/<date>-serving.{json,md}; `--quick` uses a small retailer and short runs and
writes nothing.
"""
import contextlib, json, pathlib, shutil, signal, socket, statistics, subprocess, sys, time

import own
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
PEER_ROWS = tuple(ROWS)


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
        #: In front of `patron load`.
        self.pin = []

    def load(self, name, *options, seconds=None, all_columns=False):
        """One run of the generator, its JSON."""
        if name == "Patron" and self.run.named and not all_columns:
            options = (*options, "--columns", *self.run.named)
        last = FIRST_ID + self.customers - 1
        speaks = "patron" if name == "Patron" else name.lower()
        text = self.run.program(
            *self.pin, self.run.patron, "load", "--connect", f"127.0.0.1:{self.ports[name]}", "--protocol", speaks,
            "--id-range", f"{FIRST_ID}-{last}", "--duration", seconds or self.seconds,
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
        f"{run.customers:,} customers, {run.columns} columns asked for, {run.value_bytes} bytes a value in Redis "
        f"{run.versions.get('redis', '(not run)')} and memcached {run.versions.get('memcached', '(not run)')}; `patron serve "
        f"--loops {run.loops}`, one thread of `patron load` for all. Medians of {run.rounds} interleaved rounds of "
        f"{run.seconds} s; ratio = Patron / other. {run.pinning}",
    ]
    peer_rows = [row for row in run.rows if row["row"] in ROWS]
    ours = {row["row"]: row for row in peer_rows if row["server"] == "Patron"}
    if peer_rows:
        lines += ["", "| | server | requests/s | ratio | ids/s | p50 µs | p99 µs | p99.9 µs | generator, cores |",
                  "|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for row in peer_rows:
        ratio = ""
        if row["server"] != "Patron" and row["row"] in ours:
            ratio = f"{ours[row['row']]['requests_per_second'] / row['requests_per_second']:.2f}"
        lines.append(
            f"| {row['job'] if row['server'] == 'Patron' else ''} | {row['server']} | "
            f"{row['requests_per_second']:,.0f} | {ratio} | {row['ids_per_second']:,.0f} | "
            f"{row['p50_us']:,.0f} | {row['p99_us']:,.0f} | {row['p999_us']:,.0f} | "
            f"{row['generator_cores']:.2f} |")
    sizes = {row["server"]: row["bytes_per_answer"] for row in peer_rows if row["row"] == "single"}
    if sizes:
        lines += ["", "Bytes of an answer to one id: "
                  + ", ".join(f"{name} {size:,.0f}" for name, size in sizes.items()) + "."]
    if run.saturation:
        found = ", ".join(f"{name} {rate:,.0f}" for name, rate in run.saturation.items())
        lines += ["", f"Saturation, requests/s: {found}."]
    if peer_rows:
        lines += ["", "Targets: one id 1.3 times Redis with a p99 not above it; pipelined 2 times; 256 ids "
                  "10,000,000 ids/s; open loop p99 300 µs and p99.9 1 ms."]
    return "\n".join(lines + own.table(run.own)) + "\n"


def main():
    parser = side.parser(__doc__, [*ROWS, *own.ROWS])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--server-cores", help="cores of the servers, as taskset -c takes them; all by default")
    parser.add_argument("--load-cores", help="cores of the generator, likewise")
    parser.add_argument("--beside-rate", type=float, default=20_000,
                        help="look-ups a second beside scans, publishes and a scoring")
    parser.add_argument("--idle-connections", type=int, default=10_000)
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="ask for these; all by default")
    options = parser.parse_args()
    options.inputs = options.folder / "serving"
    customers = 2_000 if options.smoke else options.customers
    if options.smoke:
        options.rounds, options.seconds, options.warm_up = 1, 0.3, 0.1
        options.beside_rate, options.idle_connections = 500, 200
    wanted = [row for row in PEER_ROWS if row in options.only]
    pins = [["taskset", "-c", cores] if cores else [] for cores in (options.server_cores, options.load_cores)]
    for program in ("redis-server", "memcached") if wanted else ():
        if not shutil.which(program):
            sys.exit(f"{program} is not installed")
    machine = side.machine()
    run = side.Run(options, None)
    run.customers, run.loops, run.seconds = customers, options.loops, options.seconds
    run.versions, run.saturation, run.own, run.generations = {}, {}, [], None
    run.pinning = " and ".join(
        f"{what} {'pinned to cores ' + cores if cores else 'not pinned'}"
        for what, cores in (("Servers", options.server_cores), ("the generator", options.load_cores))) + "."
    workspace = make_shop(run, customers)
    described = json.loads(run.command("describe", "--workspace", workspace, "--json"))
    run.named = options.columns
    run.columns = len(run.named or described["columns"])
    run.value_bytes = BYTES_A_COLUMN * run.columns
    value = bytes(97 + i % 26 for i in range(run.value_bytes))
    peers = (("redis", ["redis-server", "--version"]), ("memcached", ["memcached", "-V"]))
    for name, arguments in peers if wanted else ():
        words = subprocess.run(arguments, capture_output=True, text=True).stdout.split()
        run.versions[name] = next((w.removeprefix("v=") for w in words if w[-1].isdigit()), "?")
    servers = Servers(run, customers, options.seconds, options.warm_up)
    servers.pin = pins[1]
    servers.ports = {name: free_port() for name in (("Patron", "Redis", "Memcached") if wanted else ("Patron",))}
    patron = servers.ports["Patron"]
    settings = workspace.parent / "serve.yaml"
    limit = options.idle_connections + 1_000
    settings.write_text(f"""version: 1
workspace: {workspace}
listen: 127.0.0.1:{patron}
loops: {options.loops}
limits: {{connections: {limit}, connectionsPerAddress: {limit}}}
""")
    with contextlib.ExitStack() as running:
        ours = running.enter_context(server([*pins[0], options.patron, "serve", "--config", settings], patron))
        run.own = own.measure(servers, workspace, options, ours.pid, options.beside_rate)
        if wanted:
            redis, memcached = servers.ports["Redis"], servers.ports["Memcached"]
            running.enter_context(server(
                [*pins[0], "redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no"], redis))
            running.enter_context(server(
                [*pins[0], "memcached", "-l", "127.0.0.1", "-p", memcached, "-U", 0, "-m", 1024, "-t", 2,
                 "-u", "root"], memcached))
            fill(redis, customers, value, redis_set, b"+OK\r\n")
            fill(memcached, customers, value, memcached_set, b"STORED\r\n")
            run.saturation, reports = measure(servers, list(servers.ports), wanted, options.rounds)
    for row in wanted:
        for name in servers.ports:
            run.rows.append(summarise(row, name, reports[row, name]))
    run.rows += run.own
    side.save(options, f"serving-{run.columns}-columns" if run.named else "serving", machine, run, table)


if __name__ == "__main__":
    main()
