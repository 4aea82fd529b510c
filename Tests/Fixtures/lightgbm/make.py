#!/usr/bin/env python3
"""Writes small LightGBM models and what LightGBM predicts with them, for Tests/ModelsTests/Churn.

    pip install lightgbm && python3 Tests/Fixtures/lightgbm/make.py

NAME.txt is the model; NAME.csv has a row's features, its raw score, and its contributions (one a feature,
then the base).
"""
import pathlib

import lightgbm as lgb
import numpy as np

FOLDER = pathlib.Path(__file__).parent
NAMES = ["spend", "visits", "returns", "plan", "region"]
VARIANTS = {
    "nan": {}, "zero": dict(zero_as_missing=True), "none": dict(use_missing=False),
    "regression": dict(objective="regression"), "large": dict(num_leaves=100, min_data_in_leaf=2),
    "medium": dict(num_leaves=50, min_data_in_leaf=2), "forest": dict(
        boosting="rf", bagging_freq=1, bagging_fraction=0.6),
}


def main():
    rng = np.random.default_rng(3)
    n = 600
    numbers = np.round(rng.normal(size=(n, 2)), 3)
    returns = np.where(rng.random((n, 1)) < 0.5, 0, np.round(rng.exponential(size=(n, 1)), 3))
    plan, region = rng.integers(0, 40, (n, 1)), rng.integers(0, 3, (n, 1))
    rows = np.hstack([numbers, returns, plan, region]).astype("f4").astype("f8")
    rows[rng.random(n) < 0.15, 0] = np.nan
    rows[rng.random(n) < 0.10, 2] = np.nan
    rows[rng.random(n) < 0.10, 3] = np.nan
    z = (np.nan_to_num(rows[:, 0], nan=1.5) + rows[:, 1] * (rows[:, 2] > 0)
         + np.where(np.nan_to_num(rows[:, 3]) % 3 == 0, 1.2, -0.6) + (rows[:, 4] == 1))
    labels = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    asked = np.vstack([
        [[np.nan] * 5, [0] * 5, [1e-36, -1e-36, 1e-36, 99, 7], [0.5, 0.2, 0, -1, -3],
         [-0.0, 3, np.nan, 2.7, 1.5], [100, -100, 50, 39, 2], [1e30, -1e30, 1e30, 1e9, 2.9],
         [np.inf, -np.inf, np.inf, 3, 0]], rows[:72]]).astype("f4").astype("f8")
    for name, extra in VARIANTS.items():
        parameters = dict(
            objective="binary", num_leaves=6, learning_rate=0.2, min_data_in_leaf=10, verbose=-1,
            num_threads=1, min_data_per_group=5, cat_smooth=2, seed=1) | extra
        data = lgb.Dataset(rows, labels, feature_name=NAMES, categorical_feature=[3, 4])
        model = lgb.train(parameters, data, 4)
        text = model.model_to_string()
        (FOLDER / f"{name}.txt").write_text(text[:text.index("\nparameters:")])
        table = np.column_stack([
            asked, model.predict(asked, raw_score=True), model.predict(asked, pred_contrib=True)])
        np.savetxt(FOLDER / f"{name}.csv", table, delimiter=",", fmt="%.17g")


if __name__ == "__main__":
    main()
