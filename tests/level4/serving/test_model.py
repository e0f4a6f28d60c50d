"""Which packages load and which are refused; what a loaded version answers."""

from pathlib import Path

import pandas as pd
import pytest

from level2_devops.features import features
from level4_deployment.serving.model import Prediction, load_served
from level4_deployment.serving.package import GRAPH, PackageError, inputs_of
from shared.artefacts import MODEL_CARD
from tests.level4.graphs import graph_package, table_of_carriers
from tests.level4.plane import keep

CHANCES = {"B6": 0.1, "UA": 0.2, "WN": 0.3}


def test_a_row_that_fails_does_not_fail_the_others(tmp_path: Path, flights: pd.DataFrame) -> None:
    served = load_served(tmp_path, table_of_carriers(tmp_path, 1, CHANCES, failing="VX"))
    some = flights.head(4).assign(carrier=["B6", "VX", "WN", "UA"], dest="BOS")
    answers = served.answers(*inputs_of(features(some)))
    assert [answer.probability if isinstance(answer, Prediction) else "failed" for answer in answers] == [
        pytest.approx(0.1),
        "failed",
        pytest.approx(0.3),
        pytest.approx(0.2),
    ]
    assert "out of" in str(answers[1])


def test_a_score_outside_0_and_1_is_a_failure(tmp_path: Path, flights: pd.DataFrame) -> None:
    served = load_served(tmp_path, table_of_carriers(tmp_path, 1, {"B6": 1.5, "UA": float("nan"), "WN": 0.3}))
    some = flights.head(3).assign(carrier=["B6", "UA", "WN"], dest="BOS")
    answers = served.answers(*inputs_of(features(some)))
    assert answers[:2] == ["no probability: 1.5", "no probability: nan"]
    assert isinstance(answers[2], Prediction)


def test_a_graph_with_another_signature_is_refused(tmp_path: Path) -> None:
    made = graph_package(tmp_path, 1, "probabilities = Identity (numbers)")
    with pytest.raises(PackageError, match="a served model takes"):
        load_served(tmp_path, made)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / GRAPH).write_bytes(b"cos\nsystem\n(S'touch /tmp/x'\ntR.")
    (made / MODEL_CARD).write_text("{}")
    with pytest.raises(PackageError, match="cannot be loaded"):
        load_served(tmp_path, keep(tmp_path, 1, made))
