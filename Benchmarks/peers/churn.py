#!/usr/bin/env python3
"""Boosted trees of Patron beside LightGBM, and logistic regression beside scikit-learn's, on one machine,
the same rows and the same threads.

    swift build -c release --product patron
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/churn.py [--rounds 5] [--only fit score telco] [--telco F.csv]

The inputs are made once, from a fixed seed, in --folder. Every round runs ours and then LightGBM
(A/B/A/B); reported are medians and their ratio. Areas under the ROC curve of rows that were not fitted,
and scores of an imported model, are compared too. `telco` needs the Telco customers' CSV file: the same
folds for all, areas and calibration errors of all held rows. Writes Benchmarks/results/<date>-churn.{json,md}. `--smoke` uses small inputs and writes
nothing.
"""
import os, pathlib, tempfile

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(THREADS))

import numpy as np

import side
from side import timed

FULL, SMOKE = dict(rows=1_000_000, held=200_000), dict(rows=20_000, held=5_000)
FEATURES, TREES, LEAVES = 32, 100, 31


def make_inputs(folder, size):
    """Normal, log-normal, mostly zero and count columns; the log-odds of some of them and their products."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "churn_held_labels.npy").exists():
        return
    rng, n = np.random.default_rng(11), size["rows"] + size["held"]
    x = rng.normal(size=(n, FEATURES)).astype("f4")
    x[:, 8:16] = np.round(np.exp(x[:, 8:16]), 2)
    x[:, 16:24] = np.where(rng.random((n, 8)) < 0.6, 0, np.abs(x[:, 16:24]))
    x[:, 24:28] = rng.poisson(3, (n, 4))
    z = (0.8 * x[:, 0] - 0.6 * x[:, 1] * (x[:, 2] > 0) + 0.5 * np.sin(2 * x[:, 3])
         + 0.4 * np.log1p(x[:, 8]) - 0.5 * (x[:, 16] > 0) * x[:, 4] + 0.1 * (x[:, 24] - 3) * x[:, 5] - 1)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype("i4")
    cut = size["rows"]
    np.save(folder / "churn_rows.npy", x[:cut])
    np.save(folder / "churn_labels.npy", y[:cut])
    np.save(folder / "churn_held.npy", x[cut:])
    np.save(folder / "churn_held_labels.npy", y[cut:])


def parameters(**extra):
    return dict(objective="binary", num_leaves=LEAVES, learning_rate=0.1, num_threads=THREADS, verbose=-1,
                seed=1) | extra


def fit(run):
    """The whole fit, bins included."""
    import lightgbm
    from sklearn.metrics import roc_auc_score
    names = ["churn_rows", "churn_labels", "churn_held", "churn_held_labels"]
    files = [run.folder / f"{name}.npy" for name in names]
    rows, labels, held, held_labels = map(np.load, files)
    ours, theirs, growing = [], [], []
    for _ in range(run.rounds):
        done = run.lab("gbdt", "train", "--features", files[0], "--labels", files[1], "--test-features",
                       files[2], "--test-labels", files[3], "--trees", TREES, "--leaves", LEAVES,
                       "--threads", THREADS)
        ours.append(done["fit_seconds"])
        binning, data = timed(lambda: lightgbm.Dataset(rows, labels, params=parameters()).construct())
        seconds, model = timed(lambda: lightgbm.train(parameters(), data, TREES))
        theirs.append(binning + seconds)
        growing.append(seconds)
    title = f"fit {len(rows):,} x {FEATURES}, {TREES} trees of {LEAVES} leaves"
    area = roc_auc_score(held_labels, model.predict(held))
    run.add(title + ", with bins", "s", ours, "LightGBM", theirs, 0.83, auc=done["auc"], their_auc=area)
    run.add(title + ", theirs without bins", "s", ours, "LightGBM", growing, 0.83, auc=done["auc"],
            their_auc=area)


def score(run):
    """An imported model: the same trees on the same rows."""
    import lightgbm
    rows, labels = np.load(run.folder / "churn_rows.npy"), np.load(run.folder / "churn_labels.npy")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        path, out = pathlib.Path(scratch) / "model.txt", pathlib.Path(scratch) / "scores.npy"
        lightgbm.train(parameters(), lightgbm.Dataset(rows, labels), TREES).save_model(path)
        model = lightgbm.Booster(model_file=path)
        for _ in range(run.rounds):
            done = run.lab("gbdt", "predict", "--features", run.folder / "churn_rows.npy", "--lightgbm", path,
                           "--scores", out, "--threads", THREADS, "--repeat", run.repeat)
            ours.append(done["score_seconds"])
            seconds, scores = timed(lambda: model.predict(rows, raw_score=True, num_threads=THREADS))
            theirs.append(seconds)
        error = float(np.abs(np.load(out) - scores).max())
    run.add(f"score {len(rows):,} x {FEATURES}, {TREES} trees of {LEAVES} leaves, imported", "s", ours, "LightGBM",
            theirs, 10, largest_difference=error, rows_per_second=len(rows) / float(np.median(ours)))


def calibration_error(labels, probabilities, bins=10):
    """Mean of |mean predicted - observed| of ten bins of equally many rows by probability."""
    order = np.argsort(probabilities, kind="stable")
    return sum(abs(probabilities[part].sum() - labels[part].sum())
               for part in np.array_split(order, bins)) / len(labels)


def telco(run):
    """Stratified 5-fold cross-validation: areas of all held rows together, medians of three deals."""
    import lightgbm, pandas
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    if not run.telco:
        print("skipped: telco needs --telco F.csv")
        return
    table = pandas.read_csv(run.telco).drop(columns="customerID")
    table["TotalCharges"] = pandas.to_numeric(table["TotalCharges"], errors="coerce")
    labels = (table.pop("Churn") == "Yes").astype("i4").to_numpy()
    numeric = ["SeniorCitizen", "tenure", "MonthlyCharges", "TotalCharges"]
    texts = [name for name in table.columns if name not in numeric]
    categorical = table.astype({name: "category" for name in texts})
    # Ours here takes numbers alone: a column of 0 and 1 for each category.
    plain = pandas.get_dummies(table, columns=texts).astype("f4").to_numpy()
    tuned = dict(num_leaves=4, learning_rate=0.05)
    peers = {"trees": ["LightGBM, defaults", "LightGBM, tuned"], "logistic": ["scikit-learn, logistic"]}
    areas = {name: [] for name in ["trees", "logistic"] + sum(peers.values(), [])}
    errors = {name: [] for name in areas}
    for seed in range(3):
        held = {name: np.zeros(len(labels)) for name in areas}
        for fitted, out in StratifiedKFold(5, shuffle=True, random_state=seed).split(plain, labels):
            with tempfile.TemporaryDirectory() as scratch:
                scratch = pathlib.Path(scratch)
                arrays = dict(x=plain[fitted], y=labels[fitted], t=plain[out])
                for name, array in arrays.items():
                    np.save(scratch / f"{name}.npy", np.ascontiguousarray(array))
                for name in peers:
                    run.lab("gbdt", "train", "--algorithm", name, "--features", scratch / "x.npy", "--labels",
                            scratch / "y.npy", "--test-features", scratch / "t.npy", "--scores",
                            scratch / "s.npy", "--trees", 300, "--leaves", 4, "--learning-rate", 0.05)
                    held[name][out] = 1 / (1 + np.exp(-np.load(scratch / "s.npy")))
            for name, extra, trees in (("LightGBM, defaults", {}, 100), ("LightGBM, tuned", tuned, 300)):
                data = lightgbm.Dataset(categorical.iloc[fitted], labels[fitted])
                model = lightgbm.train(parameters(**extra), data, trees)
                held[name][out] = model.predict(categorical.iloc[out])
            logistic = make_pipeline(
                make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (StandardScaler(), numeric)),
                LogisticRegression(max_iter=2000))
            filled = table.fillna({"TotalCharges": table["TotalCharges"].iloc[fitted].mean()})
            logistic.fit(filled.iloc[fitted], labels[fitted])
            held["scikit-learn, logistic"][out] = logistic.predict_proba(filled.iloc[out])[:, 1]
        for name in areas:
            areas[name].append(roc_auc_score(labels, held[name]))
            errors[name].append(calibration_error(labels, held[name]))
    for ours, names in peers.items():
        for name in names:
            run.add(f"Telco churn, {ours}, AUC in 5-fold cross-validation", "AUC", areas[ours], name, areas[name],
                    calibration_error=float(np.median(errors[ours])),
                    their_calibration_error=float(np.median(errors[name])))


def table(run, machine):
    lines = [
        f"# Boosted trees beside LightGBM, {machine['date']}", "",
        f"{machine['processor']}, {THREADS} threads on either side, {machine['system']}; "
        f"load {machine['load_before']} before, {machine['load_after']} after; commit {machine['commit']}. "
        "Medians of interleaved rounds; ratio = peer / ours.", "",
        "| job | ours | peer | theirs | ratio | target | checks |", "|---|---:|---|---:|---:|---:|---|"]
    for row in run.rows:
        checks = ", ".join(f"{name} {value:.6g}" for name, value in row["checks"].items())
        lines.append(
            f"| {row['job']} | {row['ours']:.4g} {row['unit']} | {row['peer']} | {row['theirs']:.4g} {row['unit']} | "
            f"{row['ratio']:.3g} | {row['target'] or '–'} | {checks} |")
    return "\n".join(lines) + "\n"


JOBS = {"fit": fit, "score": score, "telco": telco}


def main():
    parser = side.parser(__doc__, JOBS)
    parser.add_argument("--telco", type=pathlib.Path, help="the Telco customers' CSV file")
    options = parser.parse_args()
    size = SMOKE if options.smoke else FULL
    options.inputs = options.folder / ("smoke" if options.smoke else "full")
    run = side.Run(options, size)
    run.telco = options.telco
    make_inputs(options.inputs, size)
    machine = side.machine()
    for name in options.only:
        JOBS[name](run)
    side.save(options, "churn", machine, run, table)


if __name__ == "__main__":
    main()
