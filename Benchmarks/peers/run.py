#!/usr/bin/env python3
"""The models of Patron beside other software, on one machine, one data set and the same threads.

    patron generate RETAILER --customers 100000 --seed 1
    swift build -c release --product ModelLoop
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/run.py RETAILER [--rounds 5] [--loop .build/release/ModelLoop]

Every round runs ours and then the peer's on the same arrays (A/B/A/B); reported are medians and
their ratio. Results are compared too: a fast wrong answer is no result. Writes
Benchmarks/results/<date>-models.{json,md}.
"""
import argparse, datetime, json, os, pathlib, platform, statistics, subprocess, tempfile, time, warnings

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(THREADS)
warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

SEED = 1
HORIZON_WEEKS = 52
ALPHA, REGULARIZATION, FACTORS, ITERATIONS = 10.0, 0.05, 32, 5


def timed(work):
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def ours(loop, *arguments):
    """One run of ModelLoop, its JSON."""
    done = subprocess.run([loop, *map(str, arguments)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def row(job, ours_seconds, peer, peer_seconds, **checks):
    """One line of the table from all rounds' seconds."""
    a, b = statistics.median(ours_seconds), statistics.median(peer_seconds)
    line = dict(
        job=job, ours_seconds=a, ours_spread=[min(ours_seconds), max(ours_seconds)], peer=peer,
        peer_seconds=b, peer_spread=[min(peer_seconds), max(peer_seconds)], ratio=b / a,
        checks=checks)
    print(json.dumps(line), flush=True)
    return line


def read_retailer(folder):
    columns = ["customer_id", "order_id", "time", "product_id", "category", "amount", "channel"]
    lines = pd.read_csv(f"{folder}/purchases.csv", usecols=columns)
    lines["stamp"] = pd.to_datetime(lines["time"], format="%Y-%m-%dT%H:%M:%S")
    return lines[lines["amount"] > 0]


def histories(lines):
    """x, t_x and T in whole days, an order id an order, as of the last day."""
    orders = lines.groupby(["customer_id", "order_id"])["stamp"].min().dt.normalize()
    spans = orders.groupby("customer_id").agg(["count", "min", "max"])
    x = (spans["count"] - 1).to_numpy("i4")
    tx = np.where(x > 0, (spans["max"] - spans["min"]).dt.days, 0).astype("i4")
    age = (lines["stamp"].max().normalize() - spans["min"]).dt.days.to_numpy("i4")
    return x, tx, age


def behaviour(lines):
    """Shares of hours, weekdays, categories and channels, z-scored: [customers × features]."""
    parts = []
    for key in (lines["stamp"].dt.hour, lines["stamp"].dt.weekday, lines["category"], lines["channel"]):
        counts = pd.crosstab(lines["customer_id"], key).to_numpy("f8")
        parts.append(counts / counts.sum(axis=1, keepdims=True))
    shares = np.hstack(parts)
    shares = shares[:, shares.std(axis=0) > 0]
    return np.ascontiguousarray((shares - shares.mean(axis=0)) / shares.std(axis=0), "f4")


def run_bgnbd(lines, folder, loop, rounds):
    from lifetimes import BetaGeoFitter
    x, tx, age = histories(lines)
    for name, values in (("x", x), ("tx", tx), ("age", age)):
        np.save(f"{folder}/{name}.npy", values)
    weeks = [x.astype("f8"), tx / 7, age / 7]
    a_fit, b_fit, a_score, b_score = [], [], [], []
    for _ in range(rounds):
        mine = ours(loop, "bgnbd", folder, HORIZON_WEEKS, THREADS)
        a_fit.append(mine["fit_seconds"])
        a_score.append(mine["score_seconds"])
        model = BetaGeoFitter()
        seconds, _ = timed(lambda: model.fit(*weeks))
        b_fit.append(seconds)
        seconds, _ = timed(lambda: (
            model.conditional_probability_alive(*weeks),
            model.conditional_expected_number_of_purchases_up_to_time(HORIZON_WEEKS, *weeks)))
        b_score.append(seconds)
    theirs = [float(model.params_[name]) for name in ("r", "alpha", "a", "b")]
    # The peer's formulas at our parameters: what is left is the mathematics, not the optimiser.
    model.params_ = pd.Series(dict(zip(("r", "alpha", "a", "b"), mine["parameters"])))
    alive = model.conditional_probability_alive(*weeks)
    expected = model.conditional_expected_number_of_purchases_up_to_time(HORIZON_WEEKS, *weeks)
    likelihood = lambda values: -model._negative_log_likelihood(
        np.log(values), *weeks, np.ones(len(x)), 0.0) * len(x)
    return [
        row(f"BG/NBD fit, {len(x)} customers", a_fit, "lifetimes", b_fit,
            parameters=mine["parameters"], peer_parameters=theirs,
            log_likelihood=mine["log_likelihood"],
            log_likelihood_by_peer=float(likelihood(np.array(mine["parameters"]))),
            peer_log_likelihood=float(likelihood(np.array(theirs)))),
        row(f"P(alive), expected purchases (ours: also discounted value and churn), {len(x)} customers",
            a_score, "lifetimes", b_score,
            largest_difference_alive=float(abs(alive - np.load(f"{folder}/our_alive.npy")).max()),
            largest_relative_difference_expected=float(
                (abs(expected - np.load(f"{folder}/our_expected.npy")) / np.maximum(expected, 1e-12)).max())),
    ]


def run_kmeans(points, folder, loop, rounds):
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score
    np.save(f"{folder}/points.npy", points)
    rng, lines = np.random.default_rng(SEED), []
    for k in (5, 64):
        start = points[rng.choice(len(points), k, replace=False)]
        np.save(f"{folder}/start.npy", start)
        a, b = [], []
        for _ in range(rounds):
            mine = ours(loop, "kmeans", f"{folder}/points.npy", f"{folder}/start.npy", 20, THREADS, f"{folder}/labels.npy")
            a.append(mine["seconds"] + mine["layout_seconds"])
            seconds, fit = timed(lambda: KMeans(
                k, init=start, n_init=1, max_iter=20, tol=0, algorithm="lloyd").fit(points))
            b.append(seconds)
        # In single precision the two round differently and may part; in double the peer is the judge.
        exact = KMeans(k, init=start.astype("f8"), n_init=1, max_iter=20, tol=0, algorithm="lloyd").fit(points.astype("f8"))
        labels = np.load(f"{folder}/labels.npy")
        lines.append(row(
            f"k-means, {points.shape[0]} x {points.shape[1]}, k = {k}, at most 20 Lloyd iterations, same start",
            a, "scikit-learn", b, iterations=[mine["iterations"], int(fit.n_iter_)],
            inertia=mine["inertia"], peer_inertia=float(fit.inertia_),
            peer_inertia_in_double=float(exact.inertia_),
            adjusted_rand_index=float(adjusted_rand_score(labels, fit.labels_)),
            adjusted_rand_index_with_the_peer_in_double=float(adjusted_rand_score(labels, exact.labels_))))
    return lines


def run_als(lines, folder, loop, rounds):
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.topk import topk
    users, items = pd.factorize(lines["customer_id"])[0], pd.factorize(lines["product_id"], sort=True)[0]
    matrix = sp.csr_matrix((np.ones(len(users), "f4"), (users, items)))
    matrix.sum_duplicates()
    for name, values in (("indptr", matrix.indptr.astype("i8")), ("indices", matrix.indices.astype("i4")), ("data", matrix.data)):
        np.save(f"{folder}/{name}.npy", values)
    rng = np.random.default_rng(SEED)
    start = ((rng.random((matrix.shape[1], FACTORS)) - 0.5) * 0.1).astype("f4")
    np.save(f"{folder}/item_start.npy", start)
    # implicit reads its input as the confidence itself: c = 1 + alpha r.
    confidence = matrix.copy()
    confidence.data = 1 + ALPHA * matrix.data
    a, a_top, b_top, b = [], [], [], {True: [], False: []}
    for _ in range(rounds):
        for use_cg in (True, False):
            mine = ours(loop, "als", folder, FACTORS, REGULARIZATION, ALPHA, ITERATIONS, THREADS)
            a.append(mine["seconds"])
            a_top.append(mine["top_seconds"])
            model = AlternatingLeastSquares(
                factors=FACTORS, regularization=REGULARIZATION, alpha=1.0, iterations=ITERATIONS,
                use_cg=use_cg, use_native=True, num_threads=THREADS, random_state=SEED, calculate_training_loss=False)
            model.item_factors = start.copy()
            with threadpool_limits(1, "blas"):  # implicit asks for it
                seconds, _ = timed(lambda: model.fit(confidence, show_progress=False))
                b[use_cg].append(seconds)
                if not use_cg:
                    seconds, (ids, _) = timed(lambda: topk(model.item_factors, model.user_factors, 10, num_threads=THREADS))
                    b_top.append(seconds)
    from implicit.cpu import _als
    loss = lambda u, i: float(_als.calculate_loss(confidence, u, i, REGULARIZATION, num_threads=THREADS))
    our_users, our_items = np.load(f"{folder}/our_users.npy"), np.load(f"{folder}/our_items.npy")
    our_top = np.load(f"{folder}/our_top.npy")
    peer_loss = loss(model.user_factors, model.item_factors)
    same_factors, _ = topk(our_items, our_users, 10, num_threads=THREADS)
    overlap = lambda one, other: float(np.mean([len(set(p) & set(q)) / 10 for p, q in zip(one, other)]))
    size = f"{matrix.shape[0]} x {matrix.shape[1]}, {matrix.nnz} entries, {FACTORS} factors"
    checks = dict(
        loss=mine["loss"][-1], loss_by_peer=loss(our_users, our_items), peer_loss=peer_loss,
        top10_overlap_of_the_fits=overlap(our_top, ids),
        top10_overlap_on_our_factors=overlap(our_top, same_factors))
    return [
        row(f"ALS, {size}, {ITERATIONS} iterations (ours exact, with the loss of each)", a, "implicit, Cholesky", b[False], **checks),
        row(f"ALS, {size}, {ITERATIONS} iterations (ours exact, with the loss of each)", a, "implicit, conjugate gradient", b[True]),
        row(f"top 10 products of every customer, {size}", a_top, "implicit topk", b_top),
    ]


def machine():
    facts = {"platform": platform.platform(), "cores": os.cpu_count()}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            facts["cpu"] = value.strip()
        if key.strip() == "flags":
            facts["flags"] = [flag for flag in value.split() if flag in ("sse4_2", "avx2", "fma") or flag.startswith("avx512")]
    facts["load_average"] = os.getloadavg()
    return facts


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("retailer")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--loop", default=".build/release/ModelLoop")
    options.add_argument("--out", default=str(pathlib.Path(__file__).parent.parent / "results"))
    options = options.parse_args()
    from importlib.metadata import version
    result = dict(
        date=datetime.date.today().isoformat(), seed=SEED, threads=THREADS, rounds=options.rounds, machine=machine(),
        versions={name: version(name) for name in ("lifetimes", "scikit-learn", "implicit", "numpy", "scipy")}, rows=[])
    lines = read_retailer(options.retailer)
    with tempfile.TemporaryDirectory() as folder:
        result["rows"] += run_bgnbd(lines, folder, options.loop, options.rounds)
        result["rows"] += run_kmeans(behaviour(lines), folder, options.loop, options.rounds)
        result["rows"] += run_als(lines, folder, options.loop, options.rounds)
    result["machine"]["load_average_after"] = os.getloadavg()
    base = f"{options.out}/{result['date']}-models"
    pathlib.Path(f"{base}.json").write_text(json.dumps(result, indent=1) + "\n")
    pathlib.Path(f"{base}.md").write_text(table(result))


def table(result):
    facts = result["machine"]
    text = [f"# Models beside other software, {result['date']}", "",
            f"{facts.get('cpu', 'unknown processor')}, {facts['cores']} cores ({', '.join(facts.get('flags', []))}), {facts['platform']}; "
            f"{result['threads']} threads, seed {result['seed']}, medians of {result['rounds']} interleaved rounds; "
            f"load average {facts['load_average'][0]:.1f} before, {facts['load_average_after'][0]:.1f} after. "
            + ", ".join(f"{name} {number}" for name, number in result["versions"].items()) + ".", "",
            "| operation | Patron, s (range) | peer | peer, s (range) | peer / Patron |", "|---|---|---|---|---|"]
    for line in result["rows"]:
        spread = lambda name: "{:.3f}–{:.3f}".format(*line[name])
        text.append(f"| {line['job']} | {line['ours_seconds']:.3f} ({spread('ours_spread')}) | {line['peer']} | "
                    f"{line['peer_seconds']:.3f} ({spread('peer_spread')}) | {line['ratio']:.1f} |")
    text += ["", "Agreement of the results:", ""]
    for line in result["rows"]:
        text += [f"- {line['job']}, {line['peer']}: {name.replace('_', ' ')} {value}" for name, value in line["checks"].items()]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    main()
