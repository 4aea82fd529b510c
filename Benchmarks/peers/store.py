#!/usr/bin/env python3
"""The column store of Patron beside Parquet, liblz4 and DuckDB, on one machine, the same columns and
the same threads.

    swift build -c release --product patron
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/store.py [--rounds 5] [--only ingest file codec scan lookup]

The inputs are made once, from fixed seeds, in --folder. Every round runs ours and then each peer
(A/B/A/B); reported are medians and ratios. Sums and counts must agree, every decoded bit too. Writes
Benchmarks/results/<date>-store.{json,md}. `--smoke` uses small inputs and writes nothing: it shows in
seconds that everything runs.
"""
import json, os, pathlib, statistics, sys, tempfile

import numpy as np

import side
from side import timed

FULL = dict(customers=2_000_000, lines=10_000_000, features=1_000_000, strips=10_000_000)
SMOKE = dict(customers=50_000, lines=100_000, features=20_000, strips=30_000)


def customer_columns(n):
    """20 columns: days, counts, money, shares of which most are 0, categories."""
    rng = np.random.default_rng(5)
    table = {
        "tenure": rng.integers(0, 1500, n).astype("i4"),
        "days_since": rng.exponential(60, n).astype("i4"),
        "orders": rng.negative_binomial(1, 0.2, n).astype("i4"),
    }
    table["spend"] = np.round(rng.lognormal(3, 1, n) * (table["orders"] + 1), 2).astype("f4")
    for j in range(12):
        share = np.where(rng.random(n) < 0.6, 0, np.round(rng.random(n), 3))
        table[f"share{j}"] = share.astype("f4")
    for j in range(4):
        table[f"category{j}"] = rng.integers(0, 12, n).astype("i4")
    return table


def features(n, count, seed):
    """Columns like those of a feature table, as floats: days, counts, money, shares."""
    rng = np.random.default_rng(seed)
    made = [
        lambda: rng.integers(0, 1500, n), lambda: rng.negative_binomial(1, 0.2, n),
        lambda: np.round(rng.lognormal(3, 1, n), 2),
        lambda: np.where(rng.random(n) < 0.6, 0, np.round(rng.random(n), 3)),
    ]
    return np.stack([made[j % 4]().astype("f4") for j in range(count)])


def make_inputs(folder, size):
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "strips.npy").exists():
        return
    table = customer_columns(size["customers"])
    for kind in ("i4", "f4"):
        np.save(folder / f"customers_{kind}.npy", np.stack(
            [column for column in table.values() if column.dtype == kind]))
    np.save(folder / "customers.npy", np.stack([c.astype("f4") for c in table.values()]))
    rng, n = np.random.default_rng(7), size["lines"]
    np.save(folder / "amount.npy", np.round(rng.lognormal(3, 1, n) * 100).astype("i8") * 100)
    np.save(folder / "price.npy", np.round(rng.lognormal(3, 1, n), 2))
    np.save(folder / "day.npy", rng.integers(0, 730, n))
    np.save(folder / "channel.npy", rng.integers(0, 5, n))
    np.save(folder / "customer.npy", np.sort(rng.integers(0, n // 10, n)))
    np.save(folder / "features.npy", features(size["features"], 32, 8))
    np.save(folder / "strips.npy", features(size["strips"], 12, 9))


def file(run):
    """20 customer columns: size, writing, reading; integers as integers, and all as floats."""
    import pyarrow as pa, pyarrow.parquet as pq
    tables = {
        "7 of integers, 13 of floats": (
            pa.table(customer_columns(run.size["customers"])), ["customers_i4", "customers_f4"]),
        "as floats": (
            pa.table(list(np.load(run.folder / "customers.npy")), [f"c{j}" for j in range(20)]),
            ["customers"]),
    }
    for kind, (table, names) in tables.items():
        columns = [word for name in names for word in ("--columns", run.folder / f"{name}.npy")]
        with tempfile.TemporaryDirectory() as folder:
            paths = {codec: f"{folder}/{codec}.parquet" for codec in ("lz4", "zstd")}
            ours, written = {}, []
            reads, writes = {}, {codec: [] for codec in paths}
            for _ in range(run.rounds):
                for threads in (1, 2):
                    done = run.lab("codec", *columns, "--file-only", "--threads", threads,
                                   "--repeat", run.repeat)
                    if not done["file_exact"]:
                        sys.exit(f"{kind}: the file does not hold what was written")
                    for key in ("read", "block", "tile"):
                        if seconds := done.get("tile_seconds" if key == "tile" else f"file_{key}_seconds"):
                            ours.setdefault((key, threads), []).append(seconds)
                    written.append(done["file_write_seconds"])
                    pa.set_cpu_count(threads)
                    for codec, path in paths.items():
                        if threads == 1:
                            writes[codec].append(timed(
                                lambda: pq.write_table(table, path, compression=codec))[0])
                        pq.read_table(path, use_threads=threads > 1)
                        reads.setdefault((codec, threads), []).append(statistics.median(
                            timed(lambda: pq.read_table(path, use_threads=threads > 1))[0]
                            for _ in range(run.repeat)))
            job = f"20 customer columns, {table.num_rows:,} rows, {kind}"
            for codec, path in paths.items():
                run.add(f"{job}: bytes", "B", [done["file_bytes"]], f"Parquet {codec}",
                        [os.path.getsize(path)], 1 if codec == "zstd" else None)
                run.add(f"{job}: write, 1 thread", "s", written, f"Parquet {codec}", writes[codec])
            names = {"read": "whole columns", "block": "block by block",
                     "tile": "into the tiles of a feature matrix"}
            for (key, threads), seconds in ours.items():
                for codec in paths:
                    run.add(f"{job}: decode {names[key]}, {threads} thread" + "s" * (threads > 1), "s",
                            seconds, f"Parquet {codec}", reads[codec, threads],
                            3 if codec == "lz4" else None)


def codec(run):
    """Bit-packed numbers in caches beside a plain copy, and LZ4 as the store calls it."""
    rates, layer, direct, exact = {}, [], [], True
    for _ in range(run.rounds):
        for name in ("customers_i4", "customers_f4"):
            done = run.lab("codec", "--columns", run.folder / f"{name}.npy", "--repeat", run.repeat)
            exact = exact and all(row["exact"] for row in done["encodings"])
            layer.append(done["lz4_decode_seconds"])
            direct.append(done["liblz4_decode_seconds"])
            for row in done["encodings"]:
                wanted = "packed" if name.endswith("i4") else "decimal"
                if row["encoding"] == wanted:
                    rates.setdefault((wanted, row["column"]), []).append(row)
    if not exact:
        sys.exit("an encoding does not decode to what was encoded")
    for (encoding, column), rows in rates.items():
        kind = "int64" if encoding == "packed" else "float32"
        if encoding == "packed" or column == "column 0":
            run.add(f"{encoding} {kind}, {column}: decoded bytes a cycle, 1,024 rows in L1", "B/cycle",
                    [row["tile_bytes_per_cycle"] for row in rows], "a plain copy of them",
                    [row["copied_tile_bytes_per_cycle"] for row in rows],
                    20 if encoding == "packed" else None, exact=exact)
            run.add(f"{encoding} {kind}, {column}: decoded bytes a cycle, 16,384 rows in L2", "B/cycle",
                    [row["block_bytes_per_cycle"] for row in rows])
    run.add("LZ4 of plain columns: decode", "s", layer, "liblz4 alone", direct, 0.95)


def scan(run):
    """Filter and sum over columns in memory."""
    import duckdb
    names = ("amount", "price", "day", "channel", "customer")
    columns = {name: np.load(run.folder / f"{name}.npy") for name in names}
    link = duckdb.connect()
    link.register("arrays", columns)
    link.execute("create table t as select * from arrays")
    link.unregister("arrays")
    customers = int(columns["customer"].max())
    queries = [
        ("amount", {"amount": (100_000, 500_000)}), ("amount", {"channel": (3, 3)}),
        ("amount", {"day": (100, 400)}), ("amount", {"day": (100, 400), "channel": (1, 2)}),
        ("amount", {"customer": (customers // 2, customers // 2 + customers // 100)}),
        ("price", {"price": (10, 50)}), ("price", {"day": (700, 729)}),
    ]
    for total, conditions in queries:
        arguments = ["--sum", run.folder / f"{total}.npy"]
        clauses = []
        for name, (lower, upper) in conditions.items():
            arguments += ["--where", f"{run.folder / name}.npy={lower}..{upper}"]
            clauses.append(f"{name} between {lower} and {upper}")
        query = f"select count(*), sum({total}) from t where {' and '.join(clauses)}"
        for threads in (1, 2):
            link.execute(f"set threads={threads}")
            ours, theirs = [], []
            for _ in range(run.rounds):
                done = run.lab("scan", *arguments, "--threads", threads, "--repeat", 4 * run.repeat + 1)
                ours.append(done["seconds"])
                link.execute(query).fetchall()
                samples = [timed(lambda: link.execute(query).fetchall()) for _ in range(4 * run.repeat + 1)]
                theirs.append(statistics.median(seconds for seconds, _ in samples))
            count, expected = samples[-1][1][0]
            close = abs(done["sum"] - float(expected)) <= 1e-9 * abs(float(expected))
            if done["matching_rows"] != count or not close:
                sys.exit(f"{query}: {done['matching_rows']} rows, {done['sum']}, not {count}, {expected}")
            run.add(f"{query}; {len(columns['day']):,} rows, {threads} thread" + "s" * (threads > 1), "s",
                    ours, "DuckDB", theirs, 1, matching_rows=count)


def lookup(run):
    """A customer's features from encoded blocks and from the row strip."""
    encoded, singly, samples = [], [], {}
    kinds = [("features", []), ("features", ["--texts"]), ("strips", ["--strip-only"]),
             ("strips", ["--strip-only", "--texts"])]
    for _ in range(run.rounds):
        for name, flags in kinds:
            done = run.lab("lookup", "--columns", run.folder / f"{name}.npy", "--repeat", run.repeat,
                           *flags)
            if not flags:
                encoded.append(done["encoded_nanoseconds_per_row"])
                singly.append(done["single_encoded_nanoseconds_per_row"])
            job = f"{done['rows']:,} customers, {done['columns']} fields, {done['ids']} ids"
            samples.setdefault(job, []).append(done)
    run.add(f"{run.size['features']:,} customers: one customer's 32 features from encoded blocks", "ns",
            encoded, "one value after the other", singly, 1000)
    for job, runs in samples.items():
        run.add(f"{job}: find and read, batches of {runs[0]['batch']}", "ns",
                [done["lookup_nanoseconds_per_id"] for done in runs], target=100)
        run.add(f"{job}: find alone, batches of {runs[0]['batch']}", "ns",
                [done["find_nanoseconds_per_id"] for done in runs], "one id after the other",
                [done["single_find_nanoseconds_per_id"] for done in runs])


PLAN = """version: 1
asOf: 2024-01-01
sources:
  purchases:
    files: []
    columns:
      customerID: {column: customer_id, type: integer}
      time: {column: ts, format: iso8601}
      amount: amount
      margin: margin
      quantity: quantity
      product: product_id
segmentations:
  value:
    features: [orderCount, daysSinceLastPurchase, meanOrderValue, revenue365Days, margin365Days]
    clusterCount: 2
"""


def ingest(run):
    """A file of purchase lines to a sorted, encoded, synced history, and one pass over its customers."""
    import duckdb
    path = run.folder / "purchases.csv"
    if not path.exists():
        lines = run.size["lines"]
        duckdb.connect().execute(
            f"""copy (select hash(i * 3 + 1) % {lines // 10} + 1 as customer_id,
                strftime(timestamp '2022-01-01' + to_seconds((hash(i * 7 + 2) % 63072000)::bigint),
                    '%Y-%m-%dT%H:%M:%S') as ts,
                hash(i * 11 + 3) % 10000 + 1 as product_id, hash(i * 13 + 4) % 5 + 1 as quantity,
                round((hash(i * 17 + 5) % 9900 + 100) / 100.0, 2) as amount,
                round((hash(i * 19 + 6) % 3000 + 10) / 100.0, 2) as margin
                from range({lines}) t(i)) to '{path}' (header)""")
    query = """select customer_id, count(distinct date_trunc('day', ts)) - 1, max(ts), min(ts),
        sum(amount), sum(margin) from t group by 1"""
    ours, totals, aggregated, loads, queries, limited = [], [], [], [], [], []
    for _ in range(run.rounds):
        with tempfile.TemporaryDirectory(dir=run.folder) as folder:
            plan = pathlib.Path(folder) / "patron.yaml"
            plan.write_text(PLAN)

            for name in ("whole", "limited"):
                run.command("init", f"{folder}/{name}", "--plan", plan)
            ours.append(timed(lambda: run.command(
                "ingest", f"{folder}/whole", "--purchases", path, "--threads", 2))[0])
            seconds, answer = timed(lambda: run.command(
                "lab", "totals", "--workspace", f"{folder}/whole", "--threads", 2, "--json"))
            totals.append(seconds)
            aggregated.append(timed(lambda: run.command(
                "train", f"{folder}/whole", "--only", "segmentation.value", "--threads", 2))[0])
            limited.append(timed(lambda: run.command(
                "ingest", f"{folder}/limited", "--purchases", path, "--threads", 2,
                "--memory", "256MiB"))[0])
            stored = sum(file.stat().st_size for file in pathlib.Path(f"{folder}/whole/purchases").iterdir())
        link = duckdb.connect()
        link.execute("set threads=2")
        loads.append(timed(lambda: link.execute(
            f"create table t as select * from read_csv('{path}')"))[0])
        seconds, rows = timed(lambda: link.execute(query).fetchnumpy())
        queries.append(seconds)
        found = json.loads(answer)
        _, days, last, first, amount, margin = rows.values()
        expected = {
            "customers": len(days), "later_days": int(days.sum()),
            "first_time": int(first.min().astype("M8[s]").astype("i8")),
            "last_time": int(last.max().astype("M8[s]").astype("i8")),
            "amount": float(amount.sum()), "margin": float(margin.sum())}
        for key, value in expected.items():
            if abs(found[key] - value) > 1e-9 * abs(value):
                sys.exit(f"customer totals: {key} is {found[key]}, not {value}")
        link.close()
    job = f"{run.size['lines']:,} purchase lines, {path.stat().st_size / 1e6:.0f} MB, 2 threads"
    run.add(f"{job}: to a sorted history, whole process", "s", ours, "DuckDB load, in memory", loads, 1,
            stored_bytes=stored)
    run.add(f"{job}: the same within 256 MiB", "s", limited, "DuckDB load, in memory", loads)
    run.add(f"{job}: the customer aggregates of the peer's query, from the history, whole process", "s",
            totals, "DuckDB customer aggregates", queries)
    run.add(f"{job}: load and these aggregates", "s", [a + b for a, b in zip(ours, totals)],
            "DuckDB load, in memory", loads, 1)
    run.add(f"{job}: customer features and two segments of them, whole process", "s", aggregated,
            "DuckDB customer aggregates", queries)
    run.add(f"{job}: load and these features", "s", [a + b for a, b in zip(ours, aggregated)],
            "DuckDB load, in memory", loads)


def table(run, machine):
    lines = [
        f"# The column store beside other software, {machine['date']}", "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; load "
        f"{machine['load_before']} before, {machine['load_after']} after; commit {machine['commit']}. "
        f"Medians of {run.rounds} interleaved rounds; ratio = peer / ours.", "",
        "| job | ours | peer | theirs | ratio | target |", "|---|---:|---|---:|---:|---:|",
    ]

    def shown(value, unit):
        if unit == "s":
            return f"{value * 1e3:.2f} ms"
        return f"{value / 1e6:.2f} MB" if unit == "B" else f"{value:.1f} {unit}"
    for row in run.rows:
        theirs = shown(row["theirs"], row["unit"]) if "theirs" in row else "–"
        ratio = f"{row['ratio']:.2f}" if row.get("ratio") else "–"
        target = f"{row['target']}" if row["target"] else "–"
        lines.append(f"| {row['job']} | {shown(row['ours'], row['unit'])} | {row['peer'] or '–'} | "
                     f"{theirs} | {ratio} | {target} |")
    return "\n".join(lines) + "\n"


JOBS = {"ingest": ingest, "file": file, "codec": codec, "scan": scan, "lookup": lookup}


def main():
    options = side.parser(__doc__, JOBS).parse_args()
    size = SMOKE if options.smoke else FULL
    options.inputs = options.folder / ("store-smoke" if options.smoke else "store")
    machine = side.machine()
    make_inputs(options.inputs, size)
    run = side.Run(options, size)
    for name in options.only:
        JOBS[name](run)
    side.save(options, "store", machine, run, table)


if __name__ == "__main__":
    main()
