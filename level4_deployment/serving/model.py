"""A loaded version: built from the bytes whose digest was checked, and run without scikit-learn or pandas."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from level2_devops.features import CATEGORIES, NUMBERS
from level4_deployment.serving.package import (
    GRAPH,
    NUMBERS_INPUT,
    OUTPUT,
    STRINGS_INPUT,
    Numbers,
    Package,
    PackageError,
    Strings,
    read_verified,
)
from level4_deployment.serving.routes import MODELS
from shared.artefacts import MODEL_CARD

INPUTS = {
    STRINGS_INPUT: ("tensor(string)", len(CATEGORIES)),
    NUMBERS_INPUT: ("tensor(float)", len(NUMBERS)),
}
FATAL = 4  # the log level of onnxruntime; other errors are reported where they are caught


class Prediction(NamedTuple):
    """A version's answer. unknown: fields with a code that it has never seen; it then answers with its base rate."""

    probability: float
    unknown: list[str]


class ServedModel:
    """One version, which any thread may use. base_rate: share late in its training data."""

    def __init__(self, package: Package, session: onnxruntime.InferenceSession, card: dict[str, Any]) -> None:
        self.version, self.digest = package.version, package.digest
        self.base_rate = float(card["base_rate"])
        self._known = [(i, name, frozenset(card["categories"][name])) for i, name in enumerate(CATEGORIES)]
        self._session = session

    def score(self, strings: Strings, numbers: Numbers) -> NDArray[np.float64]:
        """(n,) probabilities of arriving late; raises an error of onnxruntime when the graph fails."""
        (found,) = self._session.run([OUTPUT], {STRINGS_INPUT: strings, NUMBERS_INPUT: numbers})
        if found.shape != (len(strings), 2):
            raise ValueError(f"the graph returned {found.shape} for {len(strings)} rows")
        return found[:, 1].astype(np.float64)

    def answers(self, strings: Strings, numbers: Numbers) -> list[Prediction | str]:
        """One answer per row; for a row on which the graph fails, the error as a text: the other rows are answered."""
        try:
            found = self.score(strings, numbers).tolist()
        except Exception as error:  # noqa: BLE001 - onnxruntime's own errors have no common ancestor below Exception
            if len(strings) == 1:
                return [f"{type(error).__name__}: {str(error)[:300]}"]
            return [self.answers(strings[i : i + 1], numbers[i : i + 1])[0] for i in range(len(strings))]
        return [self._answer(row, chance) for row, chance in zip(strings.tolist(), found, strict=True)]

    def _answer(self, row: list[str], chance: float) -> Prediction | str:
        unknown = [name for i, name, known in self._known if row[i] not in known]
        if unknown:
            return Prediction(self.base_rate, unknown)
        return Prediction(chance, []) if 0 <= chance <= 1 else f"no probability: {chance}"


def load_served(home: Path, package: Package) -> ServedModel:
    """Load a version from its folder in `home`; raises PackageError when it was altered or has another signature."""
    folder = home / MODELS / package.digest
    files = read_verified(folder, package.files)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # parallel work is done by several workers
    options.log_severity_level = FATAL
    try:
        session = onnxruntime.InferenceSession(files[GRAPH], options, providers=["CPUExecutionProvider"])
        served = ServedModel(package, session, json.loads(files[MODEL_CARD]))
    except Exception as error:  # onnxruntime's own errors have no common ancestor below Exception
        raise PackageError(
            f"{folder} cannot be loaded: {type(error).__name__}: {str(error)[:300]}. Remedy: publish another version."
        ) from error
    _check_signature(session, folder)
    return served


def _check_signature(session: onnxruntime.InferenceSession, folder: Path) -> None:
    """Raise PackageError unless the graph takes the two tensors and returns (n, 2) probabilities."""
    takes = {one.name: (one.type, one.shape[-1]) for one in session.get_inputs()}
    gives = {one.name: (one.type, one.shape[-1]) for one in session.get_outputs()}
    wanted = {OUTPUT: ("tensor(float)", 2)}
    if (takes, gives) != (INPUTS, wanted):
        raise PackageError(
            f"{folder / GRAPH} takes {takes} and returns {gives}; a served model takes {INPUTS} and returns {wanted}. "
            "Remedy: publish another version."
        )
