"""The splits of a model's trees: thresholds that float32 compares as the model does, and rows that stand at each split.

A trained tree compares in float64 (`value <= threshold`) and its threshold is the middle between two values of the
training data; the served graph compares in float32. A threshold that is rounded up lets a value pass that stands
exactly there, for example a rainfall of 0.035 inches that no training flight had.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level2_devops.features import CATEGORIES, NUMBERS

Numbers = NDArray[np.float32]


def round_down(thresholds: NDArray[np.float64]) -> Numbers:
    """The largest float32 that is not above each threshold: every float32 falls on the same side of both."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def with_float32_thresholds(trees: Any) -> Any:
    """A copy of fitted boosted trees whose thresholds are float32 values, so that a conversion rounds none of them."""
    copied = copy.deepcopy(trees)
    for nodes in _nodes(copied):
        nodes["num_threshold"] = round_down(nodes["num_threshold"])
    return copied


def _nodes(trees: Any) -> list[Any]:
    """The nodes of each tree; scikit-learn has no public name for them."""
    return [tree.nodes for (tree,) in trees._predictors]  # noqa: SLF001


def rows_at_splits(model: Any, flights: pd.DataFrame) -> pd.DataFrame:
    """For each split of a number, three rows that reach it: at its threshold, and at the float32 below and above.

    flights: features of real flights; each row is one of them with the values changed that lead it to its split.
    Returns features, as `level2_devops.features.features` makes them. Splits that only unknown codes reach are left
    out; those of codes are asked by every flight.
    """
    encoder = model.named_steps["columns"].named_transformers_["codes"]
    inputs = model.named_steps["columns"].transform(flights).astype(np.float32)  # (n, codes then numbers)
    found = [
        rows
        for i, nodes in enumerate(_nodes(model.named_steps["trees"]))
        for rows in _rows_of_tree(nodes, inputs[i % len(inputs)], [len(codes) for codes in encoder.categories_])
    ]
    table = np.array(found, dtype=np.float32).reshape(-1, inputs.shape[1])
    codes = zip(CATEGORIES, encoder.categories_, table.T, strict=False)
    strings = {name: known[column.astype(int)] for name, known, column in codes}
    return pd.DataFrame(strings | dict(zip(NUMBERS, table.T[len(CATEGORIES) :], strict=True)))


def _rows_of_tree(nodes: Any, flight: Numbers, codes: list[int]) -> Iterator[Numbers]:
    """Three rows for each split of a number; codes: how many codes each category has, which come first in a row."""
    above = np.full((len(nodes), len(flight)), -np.inf, dtype=np.float32)  # a row that reaches a node is above these
    most = np.full((len(nodes), len(flight)), np.inf, dtype=np.float32)  # and at most these
    above[:, : len(codes)], most[:, : len(codes)] = -1, np.subtract(codes, 1)
    thresholds = round_down(nodes["num_threshold"])
    for i, node in enumerate(nodes):  # a parent comes before its children
        if node["is_leaf"]:
            continue
        column = node["feature_idx"]
        for child in (node["left"], node["right"]):
            above[child], most[child] = above[i], most[i]
        most[node["left"], column] = min(most[i, column], thresholds[i])
        above[node["right"], column] = max(above[i, column], thresholds[i])
        row = _moved(flight, above[i], most[i], len(codes))
        if column < len(codes) or row is None:
            continue
        beside = np.nextafter(thresholds[i], np.array([-np.inf, np.inf], dtype=np.float32))
        for value in (thresholds[i], *beside):
            row[column] = value
            yield row.copy()


def _moved(flight: Numbers, above: Numbers, most: Numbers, codes: int) -> Numbers | None:
    """The flight with as few values changed as brings it above the one bound and to at most the other.

    None where no known code lies between: the first `codes` values are whole numbers.
    """
    next_up = np.nextafter(above, np.float32(np.inf))
    lowest = np.concatenate([np.floor(above[:codes]) + 1, next_up[codes:]])
    highest = np.concatenate([np.floor(most[:codes]), most[codes:]])
    bounded = np.isfinite(above) | np.isfinite(most)
    row = np.where(bounded, np.clip(np.nan_to_num(flight), lowest, highest), flight)
    return row if (lowest <= highest).all() else None
