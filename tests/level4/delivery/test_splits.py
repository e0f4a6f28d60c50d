"""At and beside every threshold of the trees, what is served is what was trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from level2_devops.features import CATEGORIES, features
from level4_deployment.delivery import packaging
from level4_deployment.delivery.gates import parity_gate
from level4_deployment.delivery.splits import round_down, rows_at_splits
from level4_deployment.serving.model import load_served
from tests.level4.plane import package


def test_a_float32_is_on_the_same_side_of_a_threshold_and_of_the_rounded_one() -> None:
    thresholds = np.array([0.035, (0.03 + 0.04) / 2, 0.1, -0.1, 16_777_217.0, 0.0, np.inf])
    rounded = round_down(thresholds)
    assert (rounded <= thresholds).all()
    for value in (rounded, np.nextafter(rounded, np.float32(np.inf)), np.nextafter(rounded, np.float32(-np.inf))):
        np.testing.assert_array_equal(value.astype(float) <= thresholds, value <= rounded)


def test_three_rows_reach_each_split_of_a_number_and_stand_at_its_threshold(
    trained: Pipeline, flights: pd.DataFrame
) -> None:
    rows = rows_at_splits(trained, features(flights.sample(500, random_state=1)))
    values = trained.named_steps["columns"].transform(rows).astype(float)
    reached, made = 0, iter(range(len(rows)))
    for (tree,) in trained.named_steps["trees"]._predictors:
        for split, node in enumerate(tree.nodes):
            if node["is_leaf"] or node["feature_idx"] < len(CATEGORIES):
                continue
            at, below, above = (values[next(made)] for _ in range(3))
            assert below[node["feature_idx"]] < at[node["feature_idx"]] <= node["num_threshold"]
            assert node["num_threshold"] < above[node["feature_idx"]]
            reached += split in _path(tree.nodes, at) and split in _path(tree.nodes, above)
    assert next(made, None) is None, "no row is left over"
    assert reached * 3 == len(rows)


def _path(nodes: np.ndarray, row: np.ndarray) -> list[int]:
    """The numbers of the nodes that a row without missing values passes."""
    path = [0]
    while not (node := nodes[path[-1]])["is_leaf"]:
        value = row[node["feature_idx"]]
        left = node["missing_go_to_left"] if np.isnan(value) else value <= node["num_threshold"]
        path.append(int(node["left"] if left else node["right"]))
    return path


def test_the_gate_refuses_a_conversion_that_rounds_thresholds_to_the_nearest(
    trained: Pipeline, tmp_path: Path, flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = flights.sample(2_000, random_state=1)
    assert parity_gate(trained, load_served(tmp_path, package(tmp_path, 1, trained)), some).passed
    monkeypatch.setattr(packaging, "with_float32_thresholds", lambda trees: trees)
    nearest = tmp_path / "nearest"
    refused = parity_gate(trained, load_served(nearest, package(nearest, 2, trained)), some)
    assert not refused.passed
    assert "rows at splits" in refused.seen
