"""The package of a version: an ONNX graph and its card, identified by the digests of both files.

Workers read packages, so this module imports neither scikit-learn nor skl2onnx at its top.
"""

import copy
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level2_devops.features import CATEGORIES, NUMBERS, features
from shared.artefacts import MODEL_CARD
from shared.errors import UserError

if TYPE_CHECKING:
    from level2_devops.model import ModelCard

GRAPH = "model.onnx"
STRINGS_INPUT, NUMBERS_INPUT, OUTPUT = "strings", "numbers", "probabilities"

Strings = NDArray[np.object_]  # (n, 3), in the order of CATEGORIES
Numbers = NDArray[np.float32]  # (n, 22), in the order of NUMBERS


class PackageError(UserError):
    """A package whose files differ from the registry's record, or cannot be served."""


@dataclass(frozen=True)
class Package:
    """A version as it is served: a folder of files, named by the digest of its manifest.

    files: SHA-256 of each file, from the registry's record and never from the folder itself.
    """

    version: int
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: the same at every stage from training to production."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


class Scores(Protocol):
    """Whatever gives (n,) probabilities for two tensors."""

    def score(self, strings: Strings, numbers: Numbers) -> NDArray[np.float64]:
        """The probabilities of being late."""
        ...


def convert(model: Any, card: "ModelCard", folder: Path) -> dict[str, str]:
    """Write graph and card into `folder`; returns SHA-256 by file name, the same for the same model.

    Two tensors go in and one comes out: on single rows that is a tenth faster than a tensor for each of 25 columns.
    """
    codes = model.named_steps["columns"].named_transformers_["codes"]
    categories = {name: list(map(str, known)) for name, known in zip(CATEGORIES, codes.categories_, strict=True)}
    (folder / GRAPH).write_bytes(_graph(model))
    (folder / MODEL_CARD).write_text(json.dumps(asdict(card) | {"categories": categories}, indent=2) + "\n")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (GRAPH, MODEL_CARD)}


def _graph(model: Any) -> bytes:
    """The pipeline as ONNX, its encoder included, its columns told by position instead of by name."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.pipeline import Pipeline

    (_, codes, _), (_, rest, _) = model.named_steps["columns"].transformers_
    texts, total = len(CATEGORIES), len(CATEGORIES) + len(NUMBERS)
    columns = copy.copy(model.named_steps["columns"])
    columns.transformers_ = [("codes", codes, list(range(texts))), ("remainder", rest, list(range(texts, total)))]
    graph = to_onnx(
        Pipeline([("columns", columns), *model.steps[1:]]),
        initial_types=[
            (STRINGS_INPUT, StringTensorType([None, texts])),
            (NUMBERS_INPUT, FloatTensorType([None, len(NUMBERS)])),
        ],
        options={"zipmap": False},
    )
    (kept,) = (output for output in graph.graph.output if output.name == OUTPUT)
    del graph.graph.output[:]
    graph.graph.output.append(kept)
    return graph.SerializeToString(deterministic=True)


def read_verified(folder: Path, files: dict[str, str]) -> dict[str, bytes]:
    """The bytes of each file: the very bytes whose digest was checked. Raises PackageError."""
    found = {}
    for name, recorded in files.items():
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            raise PackageError(
                f"{folder / name} cannot be read: {error.strerror}. Remedy: remove the folder; it is pulled again."
            ) from error
        digest = hashlib.sha256(found[name]).hexdigest()
        if digest != recorded:
            raise PackageError(
                f"{folder / name} has SHA-256 {digest}, on record is {recorded}: it was altered after it was made. "
                "Remedy: remove the folder, and it is pulled again from the registry."
            )
    return found


def verify(folder: Path, files: dict[str, str]) -> None:
    """Raise PackageError, with the file and both digests, unless the folder holds exactly these files."""
    read_verified(folder, files)


def inputs_of(table: pd.DataFrame) -> tuple[Strings, Numbers]:
    """The two tensors of (n, 25) features."""
    return table[CATEGORIES].to_numpy(object), table[NUMBERS].to_numpy("float32")


def parity(model: Any, served: Scores, flights: pd.DataFrame) -> float:
    """The largest difference between what the trained and the served model say of the same flights."""
    from level2_devops.model import predict_features

    table = features(flights)
    return float(np.abs(predict_features(model, table) - served.score(*inputs_of(table))).max())
