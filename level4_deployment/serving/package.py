"""A version as it is served: an ONNX graph and its card, made from the registered pipeline, known by their digests.

Nothing heavy is imported before it is used: the workers read packages, and never load scikit-learn.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level2_devops.features import CATEGORIES, NUMBERS
from shared.errors import UserError

GRAPH = "model.onnx"
STRINGS_INPUT, NUMBERS_INPUT, OUTPUT = "strings", "numbers", "probabilities"

Strings = NDArray[np.object_]  # (n, 3), in the order of CATEGORIES
Numbers = NDArray[np.float32]  # (n, 22), in the order of NUMBERS


class PackageError(UserError):
    """A package that is not what its record says."""


def read_verified(folder: Path, files: dict[str, str]) -> dict[str, bytes]:
    """The bytes of each file, exactly those whose digest was checked; raises PackageError."""
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
    """Raise PackageError, naming the file and both digests, unless the folder holds these very files."""
    read_verified(folder, files)


def inputs_of(table: pd.DataFrame) -> tuple[Strings, Numbers]:
    """The two tensors of (n, 25) features."""
    return table[CATEGORIES].to_numpy(object), table[NUMBERS].to_numpy("float32")
