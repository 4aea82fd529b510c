#!/usr/bin/env python3
"""The column store of Patron beside Parquet: the same 20 customer columns, the same threads.

    swift build -c release --product patron
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/codec.py [--rounds 5] [--rows 2000000]

Every round runs ours and then each peer; reported are medians, sizes and the ratios peer / ours.
"""
import argparse, json, os, pathlib, statistics, subprocess, tempfile, time

THREADS = 2
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
import numpy as np
import pyarrow as pa, pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parents[2]


def make_table(n):
    """Days, counts, money, shares of which most are 0, categories: what a retailer keeps."""
    rng = np.random.default_rng(5)
    table = {
        "tenure": rng.integers(0, 1500, n).astype("i4"),
        "days_since": rng.exponential(60, n).astype("i4"),
        "orders": rng.negative_binomial(1, 0.2, n).astype("i4"),
    }
    spend = rng.lognormal(3, 1, n) * (table["orders"] + 1)
    table["spend"] = np.round(spend, 2).astype("f4")
    for j in range(12):
        share = np.round(rng.random(n), 3)
        table[f"share{j}"] = np.where(rng.random(n) < 0.6, 0, share).astype("f4")
    for j in range(4):
        table[f"category{j}"] = rng.integers(0, 12, n).astype("i4")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2_000_000)
    options = parser.parse_args()
    pa.set_cpu_count(THREADS)
    table = make_table(options.rows)
    raw = sum(column.nbytes for column in table.values())
    with tempfile.TemporaryDirectory() as folder:
        columns = f"{folder}/columns.npy"
        np.save(columns, np.stack([column.astype("f4") for column in table.values()]))
        paths = {codec: f"{folder}/{codec}.parquet" for codec in ("none", "lz4", "zstd")}
        for codec, path in paths.items():
            pq.write_table(pa.table(table), path, compression=codec)
        seconds, report = {codec: [] for codec in paths}, {}
        ours = {"file_read_seconds": [], "tile_seconds": [], "chosen_decode_seconds": []}
        for _ in range(options.rounds):
            out = subprocess.run(
                [ROOT / ".build/release/patron", "lab", "codec", "--columns", columns, "--threads",
                 str(THREADS), "--repeat", "3", "--json"], check=True, capture_output=True)
            report = json.loads(out.stdout)
            for key, values in ours.items():
                values.append(report[key])
            for codec, path in paths.items():
                start = time.perf_counter()
                pq.read_table(path)
                seconds[codec].append(time.perf_counter() - start)
        result = {"raw_bytes": raw, "patron_bytes": report["file_bytes"]}
        for key, values in ours.items():
            result[f"patron_{key}"] = statistics.median(values)
        for codec, path in paths.items():
            median = statistics.median(seconds[codec])
            result[f"parquet_{codec}_bytes"] = os.path.getsize(path)
            result[f"parquet_{codec}_read_seconds"] = median
            for key, values in ours.items():
                result[f"parquet_{codec} / {key}"] = median / statistics.median(values)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
