"""The package of a version: an ONNX graph and its card, identified by the digests of both files."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from level2_devops.features import CATEGORIES, NUMBERS
from shared.errors import UserError
from shared.files import short_digest

GRAPH = "model.onnx"
STRINGS_INPUT, NUMBERS_INPUT, OUTPUT = "strings", "numbers", "probabilities"

Strings = NDArray[np.object_]  # (n, 3), in the order of CATEGORIES
Numbers = NDArray[np.float32]  # (n, 26), in the order of NUMBERS


class PackageError(UserError):
    """A package whose files differ from the registry's record, or cannot be served."""


@dataclass(frozen=True, config={"extra": "forbid"})
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


def read_verified(folder: Path, files: dict[str, str]) -> dict[str, bytes]:
    """The bytes of each file, whose digest was checked; raises PackageError with the file and both digests."""
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
                f"{folder / name} has SHA-256 {short_digest(digest)}, on record is {short_digest(recorded)}: it was "
                "altered after it was made. Remedy: remove the folder, and it is pulled again from the registry."
            )
    return found


def inputs_of(table: pd.DataFrame) -> tuple[Strings, Numbers]:
    """The two tensors of (n, 29) features."""
    return table[CATEGORIES].to_numpy(object), table[NUMBERS].to_numpy("float32")
