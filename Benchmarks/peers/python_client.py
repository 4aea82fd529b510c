#!/usr/bin/env python3
"""The Python client of Patron beside redis-py, on one machine, over 127.0.0.1.

    swift build -c release --product patron
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/python_client.py [--rounds 5] [--smoke]

A retailer is generated, scored and served; a redis-server of our own on a free port, without files,
holds the same numbers of every customer as one string. Both give the same customers in the same
order, and the sums must agree. Every round asks ours and then Redis (A/B/A/B); reported are medians of
microseconds a customer. Writes Benchmarks/results/<date>-python-client.{json,md}; `--smoke` asks little and
writes nothing.
"""
import asyncio, collections, importlib.metadata, json, pathlib, random, shutil, socket, struct, subprocess
import sys, tempfile, threading, time

import numpy as np

import side

sys.path.insert(0, str(side.ROOT / "tools/python"))
import patron_client

FULL = dict(customers=20_000, asked=20_000)
SMOKE = dict(customers=500, asked=500)
FIELDS = 12


class Served:
    """The two servers, and what they hold."""

    def __init__(self, run, folder):
        run.command("generate", folder / "shop", "--customers", run.size["customers"], "--seed", 1)
        run.command("init", folder / "ws", "--plan", folder / "shop/patron.yaml")
        run.command("run", folder / "ws")
        self.processes = []
        ours = subprocess.Popen(
            [run.patron, "serve", folder / "ws", "--listen", "127.0.0.1:0", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(ours)
        self.port = json.loads(ours.stdout.readline())["port"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.redis_port = free.getsockname()[1]
        self.processes.append(subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--maxmemory", "256mb", "--dir", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        with open(folder / "shop/customers.csv") as lines:
            next(lines)
            ids = [int(line.split(",")[0]) for line in lines]
        self.fill(ids, random.Random(2), run.size["asked"])

    def fill(self, ids, source, asked):
        import redis
        link = redis.Redis(port=self.redis_port)
        for _ in range(100):
            try:
                link.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        with patron_client.connect(port=self.port) as client:
            columns = [c for c in client.describe().columns if c.type.startswith("float")]
            columns += [c for c in client.describe().columns if c.type.startswith("int")]
            self.columns = [column.number for column in columns[:FIELDS]]
            self.names = [column.name for column in columns[:FIELDS]]
            found = client.lookup(ids, self.columns)
            rows = zip(*(found[name].values for name in self.names))
            # A number that is missing is 0 here: Redis has no word for it.
            link.mset({i: struct.pack(f"<{FIELDS}d", *(v or 0 for v in row)) for i, row in zip(ids, rows)})
        self.ids = [source.choice(ids) for _ in range(asked)]
        self.total = self.names[0]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)


def one_at_a_time(served, count):
    """A caller that waits for every answer."""
    import redis
    ids = served.ids[:count]
    with patron_client.connect(port=served.port) as client:
        client.lookup_one(ids[0], served.columns)
        ours = side.timed(lambda: sum(
            client.lookup_one(i, served.columns)[served.total] or 0 for i in ids))
    link = redis.Redis(port=served.redis_port)
    unpack = struct.Struct(f"<{FIELDS}d").unpack
    link.get(ids[0])
    theirs = side.timed(lambda: sum(unpack(link.get(i))[0] for i in ids))
    return ours, theirs, len(ids), "redis-py GET"


def threads(served, count, workers=8):
    """Callers in threads, each of which waits for its answers."""
    import redis
    ids = served.ids[:count]
    unpack = struct.Struct(f"<{FIELDS}d").unpack

    def spread(ask):
        sums = [0.0] * workers

        def work(n):
            sums[n] = sum(ask(i) for i in ids[n::workers])

        started = [threading.Thread(target=work, args=(n,)) for n in range(workers)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        return sum(sums)

    with patron_client.connect(port=served.port) as client:
        client.lookup_one(ids[0], served.columns)
        ours = side.timed(lambda: spread(
            lambda i: client.lookup_one(i, served.columns)[served.total] or 0))
    link = redis.Redis(port=served.redis_port)
    link.get(ids[0])
    theirs = side.timed(lambda: spread(lambda i: unpack(link.get(i))[0]))
    return ours, theirs, len(ids), "redis-py GET"


async def gathered(ask, ids, workers):
    """So many tasks, each of which waits for its answers."""
    queue = collections.deque(ids)

    async def work():
        total = 0.0
        while queue:
            total += await ask(queue.popleft())
        return total

    return sum(await asyncio.gather(*(work() for _ in range(workers))))


def tasks(served, count, workers):
    ids = served.ids[:count]
    unpack = struct.Struct(f"<{FIELDS}d").unpack

    async def ours():
        async with await patron_client.aio.connect(port=served.port) as client:
            async def ask(i):
                return (await client.lookup_one(i, served.columns))[served.total] or 0
            await ask(ids[0])
            start = time.perf_counter()
            total = await gathered(ask, ids, workers)
            return time.perf_counter() - start, total

    async def theirs():
        import redis.asyncio
        pool = redis.asyncio.BlockingConnectionPool(port=served.redis_port, max_connections=workers)
        link = redis.asyncio.Redis(connection_pool=pool)

        async def ask(i):
            return unpack(await link.get(i))[0]
        await gathered(ask, ids[:workers], workers)
        start = time.perf_counter()
        total = await gathered(ask, ids, workers)
        seconds = time.perf_counter() - start
        await link.aclose()
        await pool.aclose()
        return seconds, total

    return asyncio.run(ours()), asyncio.run(theirs()), len(ids), "redis-py asyncio GET"


def many_ids(served, count, size=256):
    """A frame of ids, decoded to NumPy arrays."""
    import redis
    parts = [served.ids[at : at + size] for at in range(0, count - size + 1, size)]
    with patron_client.connect(port=served.port) as client:
        client.lookup(parts[0], served.columns)

        def ask():
            total = 0.0
            for part in parts:
                arrays = client.lookup(part, served.columns).numpy()
                total += float(arrays[served.total].sum())
            return total
        ours = side.timed(ask)
    link = redis.Redis(port=served.redis_port)
    link.mget(parts[0])

    def get():
        total = 0.0
        for part in parts:
            rows = np.frombuffer(b"".join(link.mget(part))).reshape(-1, FIELDS)
            total += float(rows[:, 0].sum())
        return total
    theirs = side.timed(get)
    return ours, theirs, size * len(parts), "redis-py MGET"


def everybody(served, scans=5):
    """All customers, four columns of each, decoded to NumPy arrays: a stream beside SCAN and MGET."""
    import redis
    names = served.names[:4]
    with patron_client.connect(port=served.port) as client:
        client.describe()

        def scan():
            total = 0.0
            for _ in range(scans):
                for chunk in client.customers(columns=names):
                    arrays = [chunk[name].numpy() for name in names]
                    total += float(arrays[0].sum())
            return total
        ours = side.timed(scan)
    link = redis.Redis(port=served.redis_port)
    link.get(served.ids[0])

    def collect():
        total = 0.0
        for _ in range(scans):
            cursor = None
            while cursor != 0:
                cursor, keys = link.scan(cursor or 0, count=2000)
                if keys:
                    rows = np.frombuffer(b"".join(link.mget(keys))).reshape(-1, FIELDS)
                    arrays = [np.ascontiguousarray(rows[:, n]) for n in range(4)]
                    total += float(arrays[0].sum())
        return total
    theirs = side.timed(collect)
    return ours, theirs, scans * link.dbsize(), "redis-py SCAN, MGET"


JOBS = {
    "one look-up after the other": lambda served, count: one_at_a_time(served, count // 4),
    "8 threads": lambda served, count: threads(served, count // 4),
    "asyncio, 50 tasks, look-ups joined": lambda served, count: tasks(served, count, 50),
    "asyncio, 500 tasks, look-ups joined": lambda served, count: tasks(served, count, 500),
    "256 ids a frame, to NumPy arrays": lambda served, count: many_ids(served, count),
    "all customers, 4 columns, to NumPy arrays": lambda served, count: everybody(served),
}


def table(run, machine):
    head = (f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python "
            f"{machine['python']}; {machine['packages']}; CRC-32C by {machine['crc32c']}; "
            f"medians of {run.rounds} interleaved rounds, load average "
            f"{machine['load_before']} before and {machine['load_after']} after.")
    lines = [f"# The Python client beside redis-py, {machine['date']}", "", head, "",
             f"{run.size['customers']:,} customers of a generated retailer, {FIELDS} fields each; a million "
             "by the microseconds is customers a second.", "",
             "| operation | Patron, us a customer (range) | peer | us (range) | peer / Patron |",
             "|---|---:|---|---:|---:|"]
    for row in run.rows:
        spread = "{:.2f} to {:.2f}".format
        lines.append(
            f"| {row['job']} | {row['ours']:.2f} ({spread(*row['ours_range'])}) | {row['peer']} | "
            f"{row['theirs']:.2f} ({spread(*row['theirs_range'])}) | {row['ratio']:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    options = side.parser(__doc__, JOBS).parse_args()
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is not on the PATH: install it (apt install redis-server)")
    options.inputs = options.folder
    if options.smoke:
        options.rounds = 1
    run = side.Run(options, SMOKE if options.smoke else FULL)
    machine = side.machine()
    # The date says which.
    del machine["commit"]
    names = ("redis", "hiredis", "numpy", "google-crc32c", "crc32c")
    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    machine["packages"] = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in names if name in installed)
    machine["crc32c"] = patron_client.CRC32C_IMPLEMENTATION
    with tempfile.TemporaryDirectory() as folder:
        served = Served(run, pathlib.Path(folder))
        try:
            samples = {job: ([], []) for job in options.only}
            peers = {}
            for _ in range(options.rounds):
                for job in options.only:
                    (a, ours), (b, theirs), count, peers[job] = JOBS[job](served, run.size["asked"])
                    if abs(ours - theirs) > 1e-6 * abs(theirs):
                        sys.exit(f"{job}: the sums differ: {ours}, {theirs}")
                    samples[job][0].append(1e6 * a / count)
                    samples[job][1].append(1e6 * b / count)
            for job in options.only:
                run.add(job, "us", samples[job][0], peers[job], samples[job][1])
        finally:
            served.stop()
    side.save(options, "python-client", machine, run, table)


if __name__ == "__main__":
    main()
