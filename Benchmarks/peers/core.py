#!/usr/bin/env python3
"""The SIMD core of Patron beside other software: k-means, matrix factorization and top-N, on one
machine, the same arrays and the same threads.

    swift build -c release --product patron
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/core.py [--rounds 5] [--only kmeans fit als topn]

The inputs are made once, from fixed seeds, in --folder. Each job runs in a process of its own, so that
no peer meets the waiting threads of another's library. Every round runs ours and then each peer
(A/B/A/B); reported are medians and their ratio, peer seconds / our seconds. Results are compared
too: a fast wrong answer is no result. Writes Benchmarks/results/<date>-core.{json,md}. `--smoke` uses
small inputs and writes nothing: it shows in seconds that everything runs.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, tempfile, warnings

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(THREADS))
warnings.filterwarnings("ignore")

import numpy as np
import scipy.sparse as sp

import side
from side import timed

REGULARIZATION, CONFIDENCE = 0.05, 1.0
KMEANS = [(1_000_000, 16, 8), (1_000_000, 32, 64), (1_000_000, 16, 256)]
FULL = dict(points=KMEANS, users=200_000, items=10_000, entries=8_000_000, asking=20_000)
SMOKE = dict(
    points=[(5_000, d, k) for _, d, k in KMEANS], users=2_000, items=500, entries=20_000,
    asking=300)


def make_inputs(folder, size):
    """Points around 50 centres, a purchase matrix with Zipf-like popularity, random factors."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "users_64.npy").exists():
        return
    rng = np.random.default_rng(1)
    for n, d, k in size["points"]:
        centers = rng.normal(size=(50, d)).astype("f4") * 3
        points = (centers[rng.integers(0, 50, n)] + rng.normal(size=(n, d))).astype("f4")
        np.save(folder / f"points_{d}x{k}.npy", points)
        np.save(folder / f"init_{d}x{k}.npy", points[rng.choice(n, k, replace=False)])
    users, items, count = size["users"], size["items"], size["entries"]
    weight = 1 / np.arange(1, items + 1) ** 0.9
    drawn = (rng.integers(0, users, count), rng.choice(items, count, p=weight / weight.sum()))
    matrix = sp.csr_matrix((np.ones(count, "f4"), drawn), shape=(users, items))
    matrix.sum_duplicates()
    np.save(folder / "indptr.npy", matrix.indptr.astype("i8"))
    np.save(folder / "indices.npy", matrix.indices.astype("i4"))
    np.save(folder / "data.npy", matrix.data.astype("f4"))
    np.save(folder / "items_64.npy", rng.normal(0, 0.1, (items, 64)).astype("f4"))
    np.save(folder / "users_64.npy", rng.normal(0, 0.1, (size["asking"], 64)).astype("f4"))


def of_the_median(done, seconds, all_seconds):
    """Rate and share of the limit at the median time, from one run's."""
    scale = seconds / statistics.median(all_seconds)
    rates = {name: done[key] * scale for name, key in (("gflops", "gflops"), ("share", "limit_share"))
             if key in done}
    return dict(rates, limit=done.get("limit"))


def sgemm():
    """GF/s of OpenBLAS on matrices of 4096 × 4096, the rate that the kernels are held against."""
    a = np.random.default_rng(0).normal(size=(4096, 4096)).astype("f4")
    seconds = min(timed(lambda: a @ a)[0] for _ in range(5))
    return 2 * 4096**3 / seconds / 1e9


def kmeans(run):
    """Twenty full iterations from given centroids; seconds an iteration."""
    import faiss
    from sklearn.cluster import KMeans
    faiss.omp_set_num_threads(THREADS)
    targets = {8: 5, 64: 4, 256: 2}
    iterations = 20
    for n, d, k in run.size["points"]:
        files = run.folder / f"points_{d}x{k}.npy", run.folder / f"init_{d}x{k}.npy"
        points, start = np.load(files[0]), np.load(files[1])
        ours, bounded, single, sk, fa = [], [], [], [], []
        for _ in range(run.rounds):
            def fit(algorithm, threads):
                return run.lab(
                    "kmeans", "--points", files[0], "--clusters", k, "--init", files[1],
                    "--iterations", iterations, "--tolerance", 0, "--algorithm", algorithm,
                    "--threads", threads, "--repeat", run.repeat)
            lloyd, auto, one = fit("lloyd", THREADS), fit("auto", THREADS), fit("lloyd", 1)
            ours.append(lloyd["fit_seconds"] / lloyd["iterations"])
            bounded.append(auto["fit_seconds"] / auto["iterations"])
            single.append(one["fit_seconds"] / one["iterations"])
            seconds, peer = timed(lambda: KMeans(
                k, init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(points))
            sk.append(seconds / peer.n_iter_)
            model = faiss.Kmeans(d, k, niter=iterations, max_points_per_centroid=10**9, seed=1)
            seconds, _ = timed(lambda: model.train(points, init_centroids=start))
            fa.append(seconds / iterations)
        job = f"k-means {n:,} × {d}, k = {k}: full iteration"
        checks = dict(
            inertia_ratio=lloyd["inertia"] / float(peer.inertia_),
            **of_the_median(lloyd, lloyd["fit_seconds"] / lloyd["iterations"], ours),
            one_thread_ratio=statistics.median(single) / statistics.median(ours),
            same_hash=lloyd["hash"] == auto["hash"] == one["hash"])
        run.add(job, "s", ours, "scikit-learn, lloyd", sk, targets[k], **checks)
        run.add(job, "s", ours, "faiss", fa, targets[k])
        run.add(job + " (`auto`: bounds)", "s", bounded, "scikit-learn, lloyd", sk, targets[k])
        run.add(job + " (`auto`: bounds)", "s", bounded, "faiss", fa, targets[k])


def fit(run):
    """Whole fits with seeding to the default tolerance, one start; seconds with the layout."""
    from sklearn.cluster import KMeans
    for n, d, k in run.size["points"]:
        file = run.folder / f"points_{d}x{k}.npy"
        points = np.load(file)
        ours, peers, ratios, iterations = [], [], [], []
        for seed in range(1, 1 + (run.rounds if k < 64 else min(3, run.rounds))):
            done = run.lab(
                "kmeans", "--points", file, "--clusters", k, "--seed", seed, "--iterations", 300,
                "--tolerance", 1e-4, "--algorithm", "auto", "--threads", THREADS)
            ours.append(sum(done[key] for key in (
                "layout_seconds", "check_seconds", "seed_seconds", "fit_seconds")))
            seconds, peer = timed(lambda: KMeans(
                k, n_init=1, random_state=seed, max_iter=300).fit(points))
            peers.append(seconds)
            ratios.append(done["inertia"] / float(peer.inertia_))
            iterations.append((done["iterations"], peer.n_iter_))
        run.add(
            f"k-means {n:,} × {d}, k = {k}: whole fit with seeding", "s", ours,
            "scikit-learn, k-means++", peers, 10, inertia_ratio=statistics.median(ratios),
            inertia_ratios=ratios, iterations=iterations)


def read_matrix(folder):
    indptr = np.load(folder / "indptr.npy")
    items = np.load(folder / "items_64.npy", mmap_mode="r").shape[0]
    return sp.csr_matrix(
        (np.load(folder / "data.npy"), np.load(folder / "indices.npy"), indptr),
        shape=(len(indptr) - 1, items))


def als(run):
    """Two iterations; seconds an iteration, and the loss of the factors by implicit's function."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu._als import calculate_loss
    matrix = read_matrix(run.folder)
    confidences = matrix.copy()
    confidences.data = (1 + CONFIDENCE * confidences.data).astype("f4")
    arrays = [f"--{name}={run.folder / name}.npy" for name in ("indptr", "indices", "data")]
    iterations = 2
    for factors in (32, 64, 128):
        seconds, losses, runs = {}, {}, {}
        with tempfile.TemporaryDirectory() as scratch:
            for _ in range(run.rounds if factors == 64 else max(1, run.rounds // 2)):
                for solver in ("cholesky", "cg", "subspace"):
                    done = run.lab(
                        "als", *arrays, "--columns", matrix.shape[1], "--factors", factors,
                        "--regularization", REGULARIZATION, "--confidence", CONFIDENCE,
                        "--iterations", iterations, "--solver", solver, "--threads", THREADS, "--no-loss",
                        "--user-factors", f"{scratch}/u.npy", "--item-factors", f"{scratch}/i.npy")
                    runs[solver] = done
                    seconds.setdefault(solver, []).append(done["seconds_per_iteration"])
                    x, y = np.load(f"{scratch}/u.npy"), np.load(f"{scratch}/i.npy")
                    losses[solver] = calculate_loss(confidences, x, y, REGULARIZATION, THREADS)
                for name, cg in (("implicit CG", True), ("implicit Cholesky", False)):
                    model = AlternatingLeastSquares(
                        factors=factors, regularization=REGULARIZATION, iterations=iterations,
                        use_cg=cg, num_threads=THREADS, random_state=1)
                    took, _ = timed(lambda: model.fit(confidences, show_progress=False))
                    seconds.setdefault(name, []).append(took / iterations)
                    losses[name] = calculate_loss(
                        confidences, model.user_factors, model.item_factors, REGULARIZATION, THREADS)
        title = f"ALS {matrix.shape[0]:,} × {matrix.shape[1]:,}, {matrix.nnz:,} entries, {factors} factors"
        pairs = [
            ("cholesky", "implicit CG", 3), ("cholesky", "implicit Cholesky", 8),
            ("cg", "implicit CG", 6), ("subspace", "implicit Cholesky", None)]
        for solver, peer, target in pairs:
            run.add(
                f"{title}: iteration, {solver}", "s", seconds[solver], peer, seconds[peer],
                target if factors == 64 else None, our_loss=losses[solver], their_loss=losses[peer],
                **of_the_median(
                    runs[solver], runs[solver]["seconds_per_iteration"], seconds[solver]))


def topn(run):
    """Top 10 of all items for the asking users, with and without exclusions; seconds."""
    import faiss
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.topk import topk
    faiss.omp_set_num_threads(THREADS)
    users, items = np.load(run.folder / "users_64.npy"), np.load(run.folder / "items_64.npy")
    seen = read_matrix(run.folder)[: len(users)].tocsr()
    model = AlternatingLeastSquares(factors=64, num_threads=THREADS)
    model.user_factors, model.item_factors = users, items
    index = faiss.IndexFlatIP(64)
    index.add(items)
    files = ["--users", run.folder / "users_64.npy", "--items", run.folder / "items_64.npy"]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        np.save(scratch / "indptr.npy", seen.indptr.astype("i8"))
        np.save(scratch / "indices.npy", seen.indices.astype("i4"))
        exclusions = ["--exclude-indptr", scratch / "indptr.npy", "--exclude-indices", scratch / "indices.npy"]
        ours, ours_excluding, bare, recommend, flat = [], [], [], [], []
        for _ in range(run.rounds):
            done = run.lab("topn", *files, "--count", 10, "--threads", THREADS,
                           "--repeat", run.repeat, "--ids", scratch / "ids.npy")
            ours.append(done["seconds"])
            ids = np.load(scratch / "ids.npy")
            excluding = run.lab("topn", *files, "--count", 10, "--threads", THREADS, *exclusions,
                                "--repeat", run.repeat, "--ids", scratch / "excluding.npy")
            ours_excluding.append(excluding["seconds"])
            seconds, _ = timed(lambda: topk(items, users, 10, num_threads=THREADS))
            bare.append(seconds)
            seconds, _ = timed(lambda: model.recommend(
                np.arange(len(users)), seen, N=10, filter_already_liked_items=True))
            recommend.append(seconds)
            seconds, _ = timed(lambda: index.search(users, 10))
            flat.append(seconds)
        exact = users.astype("f8") @ items.T.astype("f8")
        order = np.lexsort((np.broadcast_to(np.arange(exact.shape[1]), exact.shape), -exact))[:, :10]
        same = float((ids == order).mean())
        exact[seen.nonzero()] = -np.inf
        order = np.lexsort((np.broadcast_to(np.arange(exact.shape[1]), exact.shape), -exact))[:, :10]
        same_excluding = float((np.load(scratch / "excluding.npy") == order).mean())
    title = f"top 10 of {len(items):,} products, 64 factors, {len(users):,} customers"
    run.add(title, "s", ours, "implicit topk", bare, 2, ids_as_in_double_precision=same,
            users_per_second=len(users) / statistics.median(ours),
            **of_the_median(done, done["seconds"], ours))
    run.add(title, "s", ours, "faiss IndexFlatIP", flat, 2)
    run.add(title + ", with exclusions", "s", ours_excluding, "implicit recommend", recommend, 8,
            ids_as_in_double_precision=same_excluding)


def table(run, machine):
    lines = [
        f"# The SIMD core beside other software, {machine['date']}", "",
        f"{machine['processor']}, {THREADS} threads on either side, {machine['system']}; "
        f"load {machine['load_before']} before, {machine['load_after']} after; commit "
        f"{machine['commit']}; sgemm (OpenBLAS) {machine['sgemm_gflops']:.0f} GF/s in the same run. "
        f"Medians of interleaved rounds; ratio = peer / ours.", "",
        "| job | ours | rate | share of limit | peer | theirs | ratio | target |",
        "|---|---:|---:|---:|---|---:|---:|---:|"]
    for row in run.rows:
        def shown(seconds):
            return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
        target = f"{row['target']}" if row["target"] else "–"
        rate, share = row["checks"].get("gflops"), row["checks"].get("share")
        rate = f"{rate:.0f} GF/s" if rate else "–"
        share = f"{100 * share:.0f} % of {row['checks']['limit']}" if share else "–"
        lines.append(
            f"| {row['job']} | {shown(row['ours'])} | {rate} | {share} | {row['peer']} | {shown(row['theirs'])} | "
            f"{row['ratio']:.1f} | {target} |")
    return "\n".join(lines) + "\n"


JOBS = {"kmeans": kmeans, "fit": fit, "als": als, "topn": topn}
# implicit runs its own threads over single-threaded BLAS calls, and asks for it.
SINGLE_THREADED_BLAS = ("als", "topn")


def in_own_process(name, options, roofline):
    """Runs one job in a fresh interpreter.

    Returns its rows, and what it measured beside them."""
    environment = dict(os.environ)
    if name in SINGLE_THREADED_BLAS:
        environment["OPENBLAS_NUM_THREADS"] = "1"
    arguments = ["--patron", options.patron, "--folder", options.folder, "--rounds", options.rounds,
                 "--repeat", options.repeat, "--job", name, "--roofline", roofline]
    command = [sys.executable, __file__, *map(str, arguments)] + ["--smoke"] * options.smoke
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            rows.append(json.loads(line))
    if process.returncode != 0:
        sys.exit(process.returncode)
    return rows


def main():
    parser = side.parser(__doc__, JOBS)
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--roofline", help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = SMOKE if options.smoke else FULL
    options.inputs = options.folder / ("smoke" if options.smoke else "full")
    run = side.Run(options, size)
    if options.job:
        run.roofline_file = options.roofline
        JOBS[options.job](run)
        return
    make_inputs(options.inputs, size)
    machine = dict(side.machine(), sgemm_gflops=sgemm())
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "roofline.json"
        file.write_text(run.command(
            "roofline", "--json", *(["--seconds-per-test", "0.02"] if options.smoke else [])))
        machine["roofline"] = json.loads(file.read_text())
        for name in options.only:
            run.rows += in_own_process(name, options, file)
    side.save(options, "core", machine, run, table)


if __name__ == "__main__":
    main()
