#!/usr/bin/env python3
"""Product lists of Patron beside implicit's on purchases split by time: the same split, the same
candidate set, the same measure, equal settings.

    swift build -c release --product ModelLoop
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/affinity.py [--movielens ratings.csv] [--tafeng history.json]
        [--seeds 5] [--loop .build/release/ModelLoop]

`--movielens`: of each user the last fifth of the ratings by time is held back, and `--cut` holds back
all after one moment instead; candidates are products not rated before. `--tafeng`: the last basket
of each customer with at least two, first of products not bought before (new), then of all (repeats
included). Recall@k is hits / held-back products, NDCG@k has binary gains and the discount
1 / log2(rank + 1); both are means over customers with something held back that was sold before.
A held-back product nobody had before the split counts for both sides alike. Fits are repeated with
several seeds; reported are means and standard deviations. Writes Benchmarks/results/<date>-affinity.{json,md}.
"""
import os

THREADS = 2
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json, pathlib, subprocess, sys, tempfile, time

import numpy as np
import scipy.sparse as sp

import side

WIDTH = 20
# Factors, regularization, confidence weight, iterations: implicit gets the confidences 1 + weight * count.
SETTINGS = dict(movielens=(32, 10.0, 10.0, 15), tafeng=(64, 1.0, 10.0, 8))
# Of ours alone: regularization that grows with a row's entries (Rendle et al. 2021).
SCALED = dict(movielens=(0.1, 1.0), tafeng=(0.02, 1.0))


class Split:
    """Baskets known before and products held back, `[customers]` each."""

    def __init__(self, name, before, after, products, excludes):
        self.name, self.products, self.excludes = name, products, excludes
        self.before, self.after = before, after
        rows = [c for c, baskets in enumerate(before) for _, items in baskets for _ in items]
        columns = [i for baskets in before for _, items in baskets for i in items]
        self.counts = sp.csr_matrix(
            (np.ones(len(rows), "f4"), (rows, columns)), shape=(len(before), products))
        self.counts.sum_duplicates()
        if excludes:
            known = [{i for _, items in baskets for i in items} for baskets in before]
            self.after = [held - seen for held, seen in zip(after, known)]

    def write(self, folder):
        """The arrays that ModelLoop reads."""
        customers, offsets, items, days = [0], [0], [], []
        for baskets in self.before:
            for day, products in baskets:
                items += products
                days.append(day)
                offsets.append(len(items))
            customers.append(len(days))
        np.save(folder / "customer_offsets.npy", np.array(customers, "i8"))
        np.save(folder / "basket_offsets.npy", np.array(offsets, "i8"))
        np.save(folder / "items.npy", np.array(items, "i4"))
        np.save(folder / "days.npy", np.array(days, "i4"))

    def measure(self, lists):
        """Mean recall and NDCG at 10 and 20."""
        lists = np.asarray(lists).astype("i8")
        counts = np.array([len(held) for held in self.after])
        keys = np.array([row * self.products + item for row, held in enumerate(self.after) for item in held])
        places = np.arange(len(lists))[:, None] * self.products + lists
        hits = (np.isin(places, keys) & (lists >= 0)).astype("f8")[counts > 0]
        counts = counts[counts > 0]
        discounts = 1 / np.log2(np.arange(2, WIDTH + 2))
        found = dict(customers=len(counts))
        for k in (10, 20):
            ideal = np.cumsum(discounts)[np.minimum(k, counts) - 1]
            found[f"recall@{k}"] = float((hits[:, :k].sum(1) / counts).mean())
            found[f"ndcg@{k}"] = float((hits[:, :k] @ discounts[:k] / ideal).mean())
        return found


def movielens(path, cut):
    """One basket a rating; `cut` None: the last fifth of each user, else all users' last share."""
    import csv
    with open(path) as lines:
        ratings = [(int(r["timestamp"]), int(r["userId"]), int(r["movieId"])) for r in csv.DictReader(lines)]
    ratings.sort()
    moment = None if cut is None else ratings[int(len(ratings) * (1 - cut))][0]
    users, films = {}, {}
    for when, user, film in ratings:
        users.setdefault(user, []).append((when, film))
    before, after = [], []
    for _, seen in sorted(users.items()):
        known = len(seen) - len(seen) // 5 if moment is None else sum(when < moment for when, _ in seen)
        before.append(seen[:known])
        after.append({film for _, film in seen[known:]})
    for film in sorted({film for seen in before for _, film in seen}):
        films[film] = len(films)
    start = ratings[0][0]
    named = [[((when - start) // 86400, [films[film]]) for when, film in seen] for seen in before]
    held = [{films[film] for film in seen if film in films} for seen in after]
    kept = [c for c in range(len(named)) if named[c] and held[c]]
    name = "MovieLens latest-small, " + ("last fifth of each user" if cut is None else f"last {cut:.0%} of all")
    # Everybody's known ratings are fitted; who has nothing to find is left out of the measure.
    held = [h if c in set(kept) else set() for c, h in enumerate(held)]
    return Split(name, named, held, len(films), True)


def tafeng(path, excludes):
    """The history file alone: customer -> baskets, oldest first; [-1] marks its ends."""
    history = json.loads(pathlib.Path(path).read_text())
    customers = []
    for _, baskets in sorted(history.items(), key=lambda entry: int(entry[0])):
        baskets = [sorted(set(items) - {-1}) for items in baskets]
        customers.append([items for items in baskets if items])
    products = 1 + max(max(items) for baskets in customers for items in baskets)
    before, after = [], []
    for baskets in customers:
        if len(baskets) >= 2:
            before.append(list(enumerate(baskets[:-1])))
            after.append(set(baskets[-1]))
    what = "products not bought before" if excludes else "all products"
    return Split(f"Ta-Feng, last basket, {what}", before, after, products, excludes)


def run_loop(loop, folder, split, setting, exponent, seed):
    factors, regularization, weight, iterations = setting
    command = [loop, "affinity", folder, split.products, factors, regularization, weight, exponent, iterations,
               seed, THREADS, int(split.excludes)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def implicit_lists(split, setting, seed):
    from implicit.cpu.als import AlternatingLeastSquares
    factors, regularization, weight, iterations = setting
    confidences = split.counts.copy()
    confidences.data = (1 + weight * confidences.data).astype("f4")
    model = AlternatingLeastSquares(
        factors=factors, regularization=regularization, iterations=iterations, use_cg=False,
        num_threads=THREADS, random_state=seed)
    start = time.perf_counter()
    model.fit(confidences, show_progress=False)
    seconds = time.perf_counter() - start
    lists, _ = model.recommend(np.arange(split.counts.shape[0]), split.counts, N=WIDTH,
                               filter_already_liked_items=split.excludes)
    return lists, seconds


def personal_lists(split):
    """What the customer bought most often, then what everybody did: the baseline of the literature."""
    popular = np.asarray(split.counts.sum(0)).ravel()
    scale = popular.max() + 1
    lists = np.empty((split.counts.shape[0], WIDTH), "i4")
    for row in range(split.counts.shape[0]):
        scores = popular / scale
        own = slice(split.counts.indptr[row], split.counts.indptr[row + 1])
        scores[split.counts.indices[own]] += split.counts.data[own]
        best = np.argpartition(-scores, WIDTH)[:WIDTH]
        lists[row] = best[np.lexsort((best, -scores[best]))]
    return lists


def compare(split, options, rows):
    kind = "movielens" if "MovieLens" in split.name else "tafeng"
    setting = SETTINGS[kind]
    regularization, exponent = SCALED[kind]
    scaled = (setting[0], regularization, *setting[2:])
    found, seconds = {}, {}

    def note(variant, lists, took=None):
        found.setdefault(variant, []).append(split.measure(lists))
        if took is not None:
            seconds.setdefault(variant, []).append(took)

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        split.write(folder)
        for seed in range(1, 1 + options.seeds):
            done = run_loop(options.loop, folder, split, setting, 0, seed)
            print(json.dumps(dict(split=split.name, seed=seed, ours=done)), flush=True)
            for path in sorted(folder.glob("top_*.npy")):
                variant = path.stem.removeprefix("top_")
                if seed == 1 or variant in ("factors", "hybrid"):
                    note("ours: " + variant, np.load(path), done.get(f"{variant}_seconds"))
            lists, took = implicit_lists(split, setting, seed)
            note("implicit, equal setting", lists, took)
            run_loop(options.loop, folder, split, scaled, exponent, seed)
            for variant in ("factors", "hybrid"):
                if (folder / f"top_{variant}.npy").exists():
                    note(f"ours: {variant}, scaled regularization", np.load(folder / f"top_{variant}.npy"))
    if not split.excludes:
        note("personal + global top frequency", personal_lists(split))
    for variant, runs in found.items():
        row = dict(split=split.name, variant=variant, runs=len(runs), customers=runs[0]["customers"],
                   products=split.products)
        for name in ("recall@10", "ndcg@10", "recall@20", "ndcg@20"):
            values = [run[name] for run in runs]
            row[name], row[name + " deviation"] = float(np.mean(values)), float(np.std(values))
        if variant in seconds:
            row["seconds"] = float(np.median(seconds[variant]))
        rows.append(row)
        print(json.dumps(row), flush=True)


def table(rows, machine):
    lines = [
        f"# Product lists on purchases split by time, {machine['date']}", "",
        f"{machine['processor']}, {THREADS} threads, {machine['system']}; commit {machine['commit']}. Means over "
        "seeds ± their standard deviation."]
    for name in dict.fromkeys(row["split"] for row in rows):
        part = [row for row in rows if row["split"] == name]
        lines += ["", f"## {name}", "",
                  f"{part[0]['customers']:,} customers measured, {part[0]['products']:,} products.", "",
                  "| variant | seeds | recall@10 | NDCG@10 | recall@20 | NDCG@20 |", "|---|---:|---:|---:|---:|---:|"]
        for row in part:
            cells = [f"{row[key]:.4f}" + (f" ± {row[key + ' deviation']:.4f}" if row["runs"] > 1 else "")
                     for key in ("recall@10", "ndcg@10", "recall@20", "ndcg@20")]
            lines.append(f"| {row['variant']} | {row['runs']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = side.parser(__doc__, [])
    parser.add_argument("--movielens", help="ratings.csv of MovieLens")
    parser.add_argument("--tafeng", help="tafeng_history.json: customer -> list of baskets")
    parser.add_argument("--cut", type=float, default=0.2, help="share of the last ratings of all users held back")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--loop", default=str(side.ROOT / ".build/release/ModelLoop"))
    options = parser.parse_args()
    splits, rows, machine = [], [], side.machine()
    if options.movielens:
        splits += [movielens(options.movielens, None), movielens(options.movielens, options.cut)]
    if options.tafeng:
        splits += [tafeng(options.tafeng, True), tafeng(options.tafeng, False)]
    if not splits:
        parser.error("give --movielens or --tafeng")
    for split in splits:
        compare(split, options, rows)
    text = table(rows, machine)
    if not options.smoke:
        options.results.mkdir(parents=True, exist_ok=True)
        stem = options.results / f"{machine['date']}-affinity"
        stem.with_suffix(".json").write_text(json.dumps(dict(machine=machine, rows=rows), indent=1) + "\n")
        stem.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
