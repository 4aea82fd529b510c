#!/usr/bin/env python3
"""Lifetime models of Patron beside lifetimes, on one machine, the same customers and the same threads.

    swift build -c release --product patron
    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r Benchmarks/peers/requirements.txt
    .venv-peers/bin/python Benchmarks/peers/lifetime.py [--rounds 3] [--only fit score pareto]

The inputs are simulated once, from a fixed seed, in --folder. Every round runs ours and then lifetimes
(A/B/A/B); reported are medians and their ratio. Parameters, log-likelihoods and the scores of every customer
are compared too. Writes Benchmarks/results/<date>-lifetime.{json,md}. `--smoke` uses small inputs and writes
nothing.
"""
import os, warnings

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, str(THREADS))

import numpy as np

import side
from side import timed

FULL, SMOKE = dict(customers=1_000_000), dict(customers=20_000)
HORIZON_WEEKS = 52
PLANTED = dict(r=0.9, alpha=8.0, a=0.8, b=2.6)  # weeks


def make_inputs(folder, size):
    """Customers of a BG/NBD process, observed for 4 to 150 weeks, in whole days; mean order values."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "lifetime_m.npy").exists():
        return
    rng, n = np.random.default_rng(5), size["customers"]
    age = rng.integers(28, 1_050, n)
    rate = rng.gamma(PLANTED["r"], 1 / (7 * PLANTED["alpha"]), n)
    drop = rng.beta(PLANTED["a"], PLANTED["b"], n)
    time, x, last, alive = np.zeros(n), np.zeros(n, "i8"), np.zeros(n, "i8"), np.ones(n, bool)
    while alive.any():
        time[alive] += rng.exponential(1 / rate[alive])
        alive &= time < age
        x[alive] += 1
        last[alive] = np.maximum(1, time[alive]).astype("i8")
        alive &= rng.random(n) > drop
    mean = np.where(x > 0, np.round(rng.gamma(6, 5, n), 2), 0)
    for name, values in (("x", x.astype("i4")), ("tx", last.astype("i4")), ("T", age.astype("i4")), ("m", mean)):
        np.save(folder / f"lifetime_{name}.npy", values)


def arrays(run, names="x tx T"):
    return {name: run.folder / f"lifetime_{name}.npy" for name in names.split()}


def ours(run, model, names="x tx T", *more):
    files = [part for name, path in arrays(run, names).items() for part in (f"--{name}", path)]
    return run.lab("clv", "--model", model, *files, "--threads", THREADS, "--repeat", run.repeat, *more)


def theirs_on(run):
    """What lifetimes is given: counts, and times in weeks."""
    x, last, age = (np.load(path) for path in arrays(run).values())
    return x.astype("f8"), last / 7, age / 7


def fit(run):
    """The fit of the collapsed histories and the collapsing; lifetimes fits every row."""
    from lifetimes import BetaGeoFitter
    mine, seconds = [], []
    for _ in range(run.rounds):
        report = ours(run, "bgnbd")
        mine.append(report["collapse_seconds"] + report["fit_seconds"])
        model = BetaGeoFitter()
        spent, _ = timed(lambda: model.fit(*theirs_on(run)))
        seconds.append(spent)
    parameters = [model.params_[name] for name in ("r", "alpha", "a", "b")]
    difference = max(abs(a / b - 1) for a, b in zip(report["parameters"], parameters))
    x, last, age = theirs_on(run)
    log_likelihood = -len(x) * model._negative_log_likelihood(
        np.log(report["parameters"]), x, last, age, np.ones(len(x)), 0)
    run.add(f"BG/NBD fit, {run.size['customers']:,} customers", "s", mine, "lifetimes", seconds, 60,
            unique_rows=report["unique_rows"], fit_alone=report["fit_seconds"],
            largest_relative_difference_of_parameters=difference,
            log_likelihood=report["log_likelihood"],
            relative_difference_to_theirs_at_our_parameters=abs(report["log_likelihood"] / log_likelihood - 1))


def score(run):
    """Ours: P(alive), expected purchases, churn, order value and lifetime value; theirs: the second alone."""
    mine, seconds = [], []
    scores = run.folder / "lifetime_scores.npy"
    data = theirs_on(run)
    for _ in range(run.rounds):
        report = ours(run, "bgnbd", "x tx T m", "--horizon", f"{HORIZON_WEEKS}w", "--predictions", scores)
        mine.append(report["score_seconds"])
        parameters = report["parameters"]
        spent, expected = timed(lambda: lifetimes_model(parameters).conditional_expected_number_of_purchases_up_to_time(
            HORIZON_WEEKS, *data))
        seconds.append(spent)
    got, expected = np.load(scores), np.asarray(expected)
    known = np.isfinite(expected)
    run.add(f"scores, {run.size['customers']:,} customers", "s", mine, "lifetimes, expected purchases alone", seconds,
            customers_per_second=run.size["customers"] / float(np.median(mine)),
            theirs_per_second=run.size["customers"] / float(np.median(seconds)),
            largest_relative_difference=float(np.max(np.abs(got[known, 1] / expected[known] - 1))),
            median_relative_difference=float(np.median(np.abs(got[known, 1] / expected[known] - 1))),
            theirs_not_finite=int((~known).sum()), ours_not_finite=int((~np.isfinite(got)).sum()))


def lifetimes_model(parameters):
    from lifetimes import BetaGeoFitter
    import pandas
    model = BetaGeoFitter()
    model.params_ = pandas.Series(parameters, index=["r", "alpha", "a", "b"])
    return model


def pareto(run):
    """Ours alone: lifetimes takes minutes for a hundredth of the customers."""
    reports = [ours(run, "paretonbd") for _ in range(run.rounds)]
    run.add(f"Pareto/NBD fit, {run.size['customers']:,} customers", "s",
            [report["collapse_seconds"] + report["fit_seconds"] for report in reports],
            log_likelihood=reports[-1]["log_likelihood"], score_seconds=reports[-1]["score_seconds"])


def table(run, machine):
    lines = [
        f"# Lifetime models beside lifetimes, {machine['date']}", "",
        f"{machine['processor']}, {THREADS} threads on either side, {machine['system']}; "
        f"load {machine['load_before']} before, {machine['load_after']} after; commit {machine['commit']}. "
        "Medians of interleaved rounds; ratio = peer / ours.", "",
        "| job | ours | range | peer | theirs | ratio | target | checks |", "|---|---:|---:|---|---:|---:|---:|---|"]
    for row in run.rows:
        checks = ", ".join(f"{name} {value:.10g}" for name, value in row["checks"].items())
        low, high = row["ours_range"]
        theirs = f"{row['theirs']:.4g} {row['unit']} | {row['ratio']:.3g}" if "theirs" in row else "– | –"
        lines.append(f"| {row['job']} | {row['ours']:.4g} {row['unit']} | {low:.4g}–{high:.4g} | {row['peer'] or '–'} | "
                     f"{theirs} | {row['target'] or '–'} | {checks} |")
    return "\n".join(lines) + "\n"


JOBS = {"fit": fit, "score": score, "pareto": pareto}


def main():
    warnings.filterwarnings("ignore")
    options = side.parser(__doc__, JOBS).parse_args()
    size = SMOKE if options.smoke else FULL
    options.inputs = options.folder / ("smoke" if options.smoke else "full")
    run = side.Run(options, size)
    make_inputs(options.inputs, size)
    machine = side.machine()
    for name in options.only:
        JOBS[name](run)
    side.save(options, "lifetime", machine, run, table)


if __name__ == "__main__":
    main()
