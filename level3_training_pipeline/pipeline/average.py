"""Average a new model with the one in production: one model whose log-odds are the mean of both.

A fit depends on chance: which flights were drawn, which columns each split saw. The mean of two fits depends on it
less. Averaged at each training, a fit counts a half, then a quarter, an eighth and so on: an exponential moving average
of models (Polyak and Juditsky 1992 average the steps of one training so).
"""

# ruff: noqa: SLF001 - scikit-learn has no public access to the trees of a model

import copy
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

HALF = 0.5


def average(new: Pipeline, old: Pipeline) -> Pipeline:
    """The trees of both models with every leaf halved, as one model of the same type; neither is changed.

    Where the new model knows a code that the old one has never seen, the old trees take it for its neighbour in the
    alphabet.
    """
    mean = copy.deepcopy(new)
    trees, others = mean.named_steps["trees"], copy.deepcopy(old.named_steps["trees"])
    # The codes of each column, sorted: a code's place is the number that the trees split on.
    known = [one.named_steps["columns"].named_transformers_["codes"].categories_ for one in (old, new)]
    for code, (before, after) in enumerate(zip(*known, strict=True)):
        for (tree,) in others._predictors:
            _translate(tree.nodes, code, before, after)
    trees._predictors += others._predictors
    for (tree,) in trees._predictors:
        tree.nodes["value"] *= HALF
    trees._baseline_prediction = HALF * (trees._baseline_prediction + others._baseline_prediction)
    return mean


def _translate(nodes: Any, code: int, before: Any, after: Any) -> None:
    """Move a column's thresholds from the places in `before` to those in `after`."""
    splits = (nodes["feature_idx"] == code) & (nodes["is_leaf"] == 0)
    last_left = np.floor(nodes["num_threshold"][splits]).astype(int)  # the last place that goes left; -1: unknown codes
    moved = np.searchsorted(after, before[np.clip(last_left, 0, len(before) - 1)], side="right") - HALF
    nodes["num_threshold"][splits] = np.where(last_left < 0, -HALF, moved)
